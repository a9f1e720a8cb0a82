package servers_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/need"
	"github.com/pillboxgo/pillbox/internal/servers"
)

// TestHoldServers is what the tests below run in a process of its own: it
// starts servers, says where they are, and then ends the process as it is told
// to by the environment.
func TestHoldServers(t *testing.T) {
	how := os.Getenv("PILLBOX_HOLD")
	if how == "" {
		return
	}
	for _, kind := range strings.Fields(os.Getenv("PILLBOX_HOLD_KINDS")) {
		t.Run(kind, func(t *testing.T) { // so that one that is missing is passed over
			s := servers.Shared(t, servers.Kind(kind))
			if how == "paused" {
				s.Pause(t, 0)
			}
			fmt.Println("serves", strings.Join(s.Addrs, " "))
		})
	}
	fmt.Println("home", servers.Home())
	switch how {
	case "panics":
		panic("as it is told")
	case "exits":
		os.Exit(3)
	case "passes":
		return
	}
	// The others are ended from outside, or by the test's timeout.
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Error(err)
	}
}

// hold runs TestHoldServers and returns when its servers run, with their
// addresses and the folder of all that they write.
func hold(t *testing.T, how, timeout string, kinds ...servers.Kind) (cmd *exec.Cmd, addrs []string, home string) {
	t.Helper()
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	cmd = exec.Command(os.Args[0], "-test.run=^TestHoldServers$", "-test.timeout="+timeout)
	cmd.Env = append(os.Environ(), "PILLBOX_HOLD="+how, "PILLBOX_HOLD_KINDS="+strings.Join(words, " "))
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // which may have ended
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		switch f := strings.Fields(lines.Text()); {
		case len(f) > 1 && f[0] == "serves":
			addrs = append(addrs, f[1:]...)
		case len(f) > 0 && f[0] == "home":
			go func() { _, _ = io.Copy(io.Discard, out) }() // a panic wants to be read
			if len(addrs) == 0 {
				need.Missing(t, fmt.Sprintf("any of the servers %v", kinds))
			}
			return cmd, addrs, f[len(f)-1]
		}
	}
	t.Fatalf("the process that shall hold servers says\n%s", &said)
	return nil, nil, ""
}

// within polls until a condition holds.
func within(d time.Duration, holds func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return true
		}
	}
	return holds()
}

func TestServersEndWithTheirProcess(t *testing.T) {
	for _, test := range []struct {
		how     string // see TestHoldServers
		timeout string
		kinds   []servers.Kind
	}{
		{"killed", "5m", []servers.Kind{servers.Redis7, servers.RedisSentinel, servers.Postgres, servers.MariaDB, servers.MongoDB, servers.DynamoDB}},
		{"panics", "5m", []servers.Kind{servers.Redis7, servers.Postgres}},
		{"exits", "5m", []servers.Kind{servers.Redis7, servers.Postgres}},
		{"passes", "5m", []servers.Kind{servers.Redis7, servers.Postgres}},
		{"times out", "15s", []servers.Kind{servers.Redis7}},
	} {
		t.Run(test.how, func(t *testing.T) {
			t.Parallel()
			cmd, addrs, home := hold(t, test.how, test.timeout, test.kinds...)
			if test.how == "killed" {
				for _, addr := range addrs {
					if gone(addr) {
						t.Errorf("%s does not answer before the process is killed", addr)
					}
				}
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait() // an error, but for the one that passes
			if !within(30*time.Second, func() bool { return len(servers.RunningIn(home)) == 0 }) {
				t.Errorf("processes %v still run in %s", servers.RunningIn(home), home)
			}
			for _, addr := range addrs {
				if !gone(addr) {
					t.Errorf("%s still answers", addr)
				}
			}
			_, err := os.Stat(home)
			if left := !os.IsNotExist(err); test.how == "passes" && left {
				t.Errorf("%s is left behind", home)
			}
			servers.Sweep()
			if _, err := os.Stat(home); !os.IsNotExist(err) {
				t.Errorf("%s is still there after a sweep", home)
			}
		})
	}
}

// A paused PostgreSQL does not hear that it shall quit.
func TestSweepEndsPausedServers(t *testing.T) {
	cmd, _, home := hold(t, "paused", "5m", servers.Postgres)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	servers.Sweep()
	if left := servers.RunningIn(home); len(left) > 0 {
		t.Errorf("processes %v still run in %s", left, home)
	}
	if _, err := os.Stat(home); !os.IsNotExist(err) {
		t.Errorf("%s is still there", home)
	}
}

func TestSweepLeavesTheLivingAlone(t *testing.T) {
	s := servers.Start(t, servers.Redis7)
	servers.Sweep()
	if gone(s.Addrs[0]) {
		t.Errorf("%s is gone after a sweep", s.Addrs[0])
	}
	if _, err := os.Stat(servers.Home()); err != nil {
		t.Errorf("the folder of this process is gone: %v", err)
	}
}
