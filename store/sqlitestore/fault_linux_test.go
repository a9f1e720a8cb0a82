package sqlitestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pillboxgo/pillbox/internal/need"
	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/session"
)

func init() {
	roles["limit"] = limitWrites
	roles["open"] = func(context.Context, session.Store, []string) error { return nil }
}

// The operating system refuses to write any further, which needs no privilege:
// a limit on the size of files, in a process of its own.
func TestDiskRefuses(t *testing.T) {
	c := processes.Start(t, []string{temp(t)}, "limit")
	out, err := io.ReadAll(c.Stdout)
	if waitErr := c.Wait(); err != nil || waitErr != nil {
		t.Errorf("%v, %v:\n%s", err, waitErr, out)
	}
}

func limitWrites(ctx context.Context, s session.Store, _ []string) error {
	signal.Ignore(syscall.SIGXFSZ)
	setLimit := func(bytes uint64) error {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
		limit.Cur = min(bytes, limit.Max)
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
	}
	if err := setLimit(200 << 10); err != nil {
		return err
	}
	return fillAndRecover(ctx, s, func() error { return setLimit(1 << 40) })
}

// fillAndRecover creates records until there is no room, and then asks for
// every one of them, before and after makeRoom.
func fillAndRecover(ctx context.Context, s session.Store, makeRoom func() error) error {
	data := strings.Repeat("x", 4000)
	kept := 0
	for {
		err := s.Create(ctx, fmt.Sprint(kept), record(data, time.Hour))
		if err == nil {
			kept++
			continue
		}
		if !strings.Contains(err.Error(), "no room") {
			return fmt.Errorf("Create without room = %w; want an error that says so", err)
		}
		break
	}
	if kept < 5 {
		return fmt.Errorf("%d records fitted; want some", kept)
	}
	check := func() error {
		for i := range kept {
			rec, err := s.Load(ctx, fmt.Sprint(i), session.Slide{})
			if err != nil || string(rec.Data) != data {
				return fmt.Errorf("record %d of %d: %w", i, kept, err)
			}
		}
		return nil
	}
	if err := check(); err != nil {
		return fmt.Errorf("while there is no room: %w", err)
	}
	if err := makeRoom(); err != nil {
		return err
	}
	if err := s.Create(ctx, "again", record(data, time.Hour)); err != nil {
		return fmt.Errorf("Create when there is room again: %w", err)
	}
	if err := check(); err != nil {
		return fmt.Errorf("when there is room again: %w", err)
	}
	return nil
}

// A real file system that is full. Without the right to mount one, the test runs
// again in a user namespace of its own, where it has that right.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	const again = "PILLBOX_TEST_NAMESPACE"
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		if os.Getenv(again) != "" {
			need.Missing(t, "the right to mount a file system: "+err.Error())
		}
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), again+"=1")
		child.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("in a namespace of its own: %v\n%s", err, out)
		}
		return
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	s := open(t, filepath.Join(dir, "sessions.db"))
	err := fillAndRecover(t.Context(), s, func() error { return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=10m") })
	if err != nil {
		t.Error(err)
	}
}

// Open says at once that it cannot write, rather than the first sign-in.
func TestReadOnly(t *testing.T) {
	for _, test := range []struct {
		name      string
		file, dir os.FileMode
	}{
		{"the file", 0o444, 0o777},
		{"the directory", 0o666, 0o555},
		{"both", 0o444, 0o555},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(publicDir(t), "sessions.db")
			used(t, path)
			if err := os.Chmod(path, test.file); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Dir(path), test.dir); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(filepath.Dir(path), 0o777) })
			said := openWithoutPrivileges(t, path)
			if !strings.Contains(said, "pillbox: sqlite open "+path+": ") || !strings.Contains(said, "is missing or cannot be written") {
				t.Errorf("Open = %q; want an error that names the path and says that it cannot be written", said)
			}
		})
	}
}

// publicDir returns a directory that every account may enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// openWithoutPrivileges opens path in another process, as an account to which
// modes apply, and returns what it says.
func openWithoutPrivileges(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	if os.Geteuid() == 0 {
		// The account may lack access to where go test has put the binary,
		// and to the directories of this test.
		binary, err := os.ReadFile(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path = filepath.Join(publicDir(t), "test")
		if err := os.WriteFile(cmd.Path, binary, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Env = processes.Environ([]string{path}, "open")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Run(); err == nil {
		t.Error("Open = nil; want an error")
	} else if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		t.Fatal(err)
	}
	return out.String()
}

// A database that is damaged under a running store makes it fail, not answer
// that there is no session.
func TestDamagedMeanwhile(t *testing.T) {
	path := temp(t)
	used(t, path)
	s := open(t, path)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 30*4096), 4096); err != nil {
		t.Fatal(err)
	}
	_, err = s.Load(t.Context(), "1", session.Slide{})
	checkError(t, err, sqlite3.SQLITE_CORRUPT, path)
	checkError(t, s.Delete(t.Context(), "1", nil), sqlite3.SQLITE_CORRUPT, path)
}
