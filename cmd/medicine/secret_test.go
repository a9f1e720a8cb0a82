package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestSecretIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var o options
	first, err := o.secrets(dir)
	if err != nil || len(first) != 1 {
		t.Fatalf("secrets() = %d secrets, %v; want 1", len(first), err)
	}
	if random, err := base64.StdEncoding.DecodeString(first[0]); err != nil || len(random) != 32 {
		t.Errorf("the secret is %d bytes in base64 (%v); want 32", len(random), err)
	}
	path := filepath.Join(dir, secretFile)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("%s has the mode %04o; want 0600", secretFile, mode)
	}
	again, err := o.secrets(dir)
	if err != nil || !slices.Equal(again, first) {
		t.Errorf("secrets() a second time differs, %v; want the same", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("secrets() left %v; want %s only", left, secretFile)
	}
	other, err := o.secrets(t.TempDir())
	if err != nil || slices.Equal(other, first) {
		t.Errorf("secrets() in another folder is the same, %v; want another", err)
	}
}

func TestSecretOfManyStartsAtOnce(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		var got [8]string
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				var o options
				secrets, err := o.secrets(dir)
				if err != nil {
					t.Errorf("secrets() among %d at once: %v", len(got), err)
					return
				}
				got[i] = secrets[0]
			})
		}
		wg.Wait()
		for i := range got {
			if got[i] != got[0] {
				t.Fatalf("starts 0 and %d of %d at once have different secrets", i, len(got))
			}
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Fatalf("starting at once left %v; want %s only", left, secretFile)
		}
	}
}

func TestSecretFileIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, text string
		mode       os.FileMode
		want       []string
	}{
		{"readable by the group", testSecret, 0o640, []string{"can be read by others", "0640", "chmod 600"}},
		{"readable by all", testSecret, 0o604, []string{"can be read by others", "0604", "chmod 600"}},
		{"writable by all", testSecret, 0o602, []string{"can be read by others", "0602", "chmod 600"}},
		{"empty", "", 0o600, []string{"empty", "remove it"}},
		{"blank", " \n", 0o600, []string{"empty", "remove it"}},
		{"short", "short\n", 0o600, []string{"16", "openssl rand"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, secretFile)
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			err := runToError(t, nil, "-store", "sqlite:"+filepath.Join(dir, "medicine.db"))
			for _, want := range append(test.want, secretFile) {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("run with a secret file that is %s = %v; want an error that names %s", test.name, err, want)
				}
			}
			if text, _ := os.ReadFile(path); string(text) != test.text {
				t.Errorf("the refused file was changed")
			}
		})
	}
}

func TestSecretFileMayEndInALineBreak(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, secretFile), []byte(testSecret+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var o options
	if got, err := o.secrets(dir); err != nil || !slices.Equal(got, []string{testSecret}) {
		t.Errorf("secrets() = %q, %v; want %q", got, err, testSecret)
	}
}
