package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const secretFile = "medicine.secret"

// secrets returns the secrets of SESSION_SECRET, or the one that is kept in dir,
// which is made the first time.
func (o *options) secrets(dir string) ([]string, error) {
	if o.secret != "" {
		all := strings.Split(o.secret, ",")
		for i := range all {
			all[i] = strings.TrimSpace(all[i])
		}
		return all, nil // an empty one among them is refused later
	}
	path := filepath.Join(dir, secretFile)
	secret, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(path); err != nil {
			return nil, fmt.Errorf("make a secret: %w: set SESSION_SECRET to have none on disk", err)
		}
		secret, err = readSecret(path)
	}
	if err != nil {
		return nil, err
	}
	return []string{secret}, nil
}

func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	// Windows has no such modes, and reports that everybody may read.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %s, or remove it to sign everybody out and start anew", path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s is empty: remove it, and a new secret is made", path)
	}
	return secret, nil
}

// makeSecret writes a new secret to path. Where two processes start at once, the
// first one's stays: a file appears whole or not at all, and is never replaced.
func makeSecret(path string) error {
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), secretFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(random[:]) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
