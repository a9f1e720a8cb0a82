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
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

func init() {
	children["limit"] = limitChild
	children["open"] = func(*sqlitestore.Store, []string) error { return nil }
}

// The operating system refuses to write any further, which needs no privilege:
// a limit on the size of files, in a process of its own.
func TestDiskRefuses(t *testing.T) {
	c := start(t, "limit", temp(t))
	out, err := io.ReadAll(c.stdout)
	if waitErr := c.Wait(); err != nil || waitErr != nil {
		t.Errorf("%v, %v:\n%s", err, waitErr, out)
	}
}

func limitChild(s *sqlitestore.Store, _ []string) error {
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
	return fillAndRecover(s, func() error { return setLimit(1 << 40) })
}

// fillAndRecover creates records until there is no room, and then asks for
// every one of them, before and after makeRoom.
func fillAndRecover(s *sqlitestore.Store, makeRoom func() error) error {
	ctx := context.Background()
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
	err := fillAndRecover(s, func() error { return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=10m") })
	if err != nil {
		t.Error(err)
	}
}
