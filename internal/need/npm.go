package need

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// NPM installs what package-lock.json in dir pins and returns a folder that
// holds it as node_modules, beside copies of package.json and
// package-lock.json. The folder lies in [CacheDir] under the hash of both
// files, so it is installed once a machine; it is shared and must not be
// written to. Calls may be concurrent, from several processes too: one
// installs, the others wait for it.
//
// A script finds the modules when it runs from a folder that has node_modules
// as a symbolic link to the returned one's ([Link] makes it). NODE_PATH serves
// CommonJS scripts too, but Node ignores it for ES modules.
//
// Install scripts do not run. Without Node.js or npm, or when the install
// fails, which it does without a network, NPM calls [Missing].
func NPM(t testing.TB, dir string) string {
	t.Helper()
	node := Node(t)
	npm := Program(t, "npm")
	manifest, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		t.Fatalf("need: npm: %v", err)
	}
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatalf("need: npm: %v", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%d\n", len(manifest))
	sum.Write(manifest)
	sum.Write(lock)
	root := filepath.Join(CacheDir(), "npm")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatalf("need: npm: %v", err)
	}
	final := filepath.Join(root, hex.EncodeToString(sum.Sum(nil))[:24])

	// The rename below makes an install appear whole or not at all, so the
	// lock only spares the work of installing twice.
	unlock, err := lockFile(final + ".lock")
	if err != nil {
		t.Fatalf("need: npm: lock: %v", err)
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(final, "node_modules")); err == nil {
		return final
	}
	out, err := install(t.Context(), node, npm, root, final, manifest, lock)
	if err != nil {
		Missing(t, fmt.Sprintf("what %s pins (npm ci: %v)\n%s",
			filepath.Join(filepath.Base(dir), "package-lock.json"), err, out))
	}
	return final
}

// Link makes node_modules in dir a symbolic link to the one in installed,
// which [NPM] returned. Scripts copied to dir then find their modules.
func Link(t testing.TB, installed, dir string) {
	t.Helper()
	err := os.Symlink(filepath.Join(installed, "node_modules"), filepath.Join(dir, "node_modules"))
	if err != nil {
		t.Fatalf("need: link node_modules: %v", err)
	}
}

// install runs npm ci in a fresh folder in root and moves the result to final.
// It returns the beginning of what npm printed.
func install(ctx context.Context, node, npm, root, final string, manifest, lock []byte) (string, error) {
	tmp, err := os.MkdirTemp(root, "installing-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "package.json"), manifest, 0o644); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(tmp, "package-lock.json"), lock, 0o644); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = tmp
	// npm is a script that starts the first node on PATH.
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(node)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return head(string(out), 2000), err
	}
	if err := os.MkdirAll(filepath.Join(tmp, "node_modules"), 0o755); err != nil {
		return "", err // npm makes none when nothing is depended on
	}
	if err := os.Rename(tmp, final); err != nil && !errors.Is(err, os.ErrExist) {
		if _, statErr := os.Stat(filepath.Join(final, "node_modules")); statErr != nil {
			return "", err
		}
	}
	return "", nil
}

// head returns at most the first n bytes of s: npm begins with the cause and
// ends with a list of its options.
func head(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
