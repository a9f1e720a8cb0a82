package live_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/live"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// serveChild serves streams of sessions in memory, and does what each line of
// its input says. It answers each with a line.
func serveChild() error {
	store := memstore.New(memstore.Options{})
	m, err := session.New(session.Config{Store: store, Secrets: []string{labSecret}})
	if err != nil {
		return err
	}
	hub, err := live.New(m, live.Config{Keys: []string{string(pills)}})
	if err != nil {
		return err
	}
	base := runtime.NumGoroutine()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: m.Handler(hub), ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute}
	go server.Serve(listener)
	fmt.Println(listener.Addr())
	commands := map[string]func() string{
		"session": func() string { // a new one; answers its cookie
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "https://shop.example/", nil)
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := pills.Set(session.From(r.Context()), []string{"Ibuprofen", "Aspirin", "Ibuprofen"}); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			})).ServeHTTP(w, r)
			c := w.Result().Cookies()[0]
			return c.Name + "=" + c.Value
		},
		"memory": func() string { // what the process takes, in KiB
			runtime.GC() // stacks that have grown while connecting shrink by half at a time
			runtime.GC()
			debug.FreeOSMemory()
			kib, err := resident()
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			return strconv.Itoa(kib)
		},
		"streams": func() string { // how many are open
			_, n := hub.Open()
			return strconv.Itoa(n)
		},
		"close": func() string { // goroutines more than before the first stream
			hub.Close()
			if err := server.Shutdown(context.Background()); err != nil {
				return err.Error()
			}
			for range 200 {
				if runtime.NumGoroutine() <= base {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			return strconv.Itoa(max(0, runtime.NumGoroutine()-base))
		},
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(commands[in.Text()]())
	}
	return store.Close()
}

// resident returns the memory of this process that is in use, in KiB.
func resident() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	number, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	return strconv.Atoi(string(number))
}

// Five thousand pages, each on a session of its own, take at most 64 KiB each of
// the server's process: connection, goroutines and all. When the hub is closed,
// all that is given back.
func TestManyStreams(t *testing.T) {
	if runtime.GOOS != "linux" || raceEnabled {
		t.Log("measured on Linux and without the race detector, which has its own memory")
		return
	}
	const n, most = 5000, 64 << 10
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // it ends
		cmd.Wait()
	})
	answers := bufio.NewScanner(stdout)
	read := func() string {
		if !answers.Scan() {
			t.Fatalf("the server's process ended: %v", answers.Err())
		}
		return answers.Text()
	}
	ask := func(command string) string {
		fmt.Fprintln(stdin, command)
		return read()
	}
	number := func(command string) int {
		text := ask(command)
		i, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %q", command, text)
		}
		return i
	}

	addr := read()
	cookies := make([]string, n)
	for i := range cookies {
		cookies[i] = ask("session")
	}
	before := number("memory")
	start := time.Now()
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		defer c.Close()
		conns[i] = c
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: %s\r\n\r\n", cookies[i])
	}
	buf := make([]byte, 4096)
	for i, c := range conns {
		text := ""
		for !strings.Contains(text, "event: session") {
			k, err := c.Read(buf)
			if err != nil {
				t.Fatalf("stream %d: %v after %q", i, err, text)
			}
			text += string(buf[:k])
		}
	}
	took := time.Since(start)
	if open := number("streams"); open != n {
		t.Errorf("%d streams are open; want %d", open, n)
	}
	each := (number("memory") - before) * 1024 / n
	t.Logf("%d streams of as many sessions were opened within %v; each takes %d bytes of the process", n, took, each)
	if each > most {
		t.Errorf("a stream takes %d bytes; want at most %d", each, most)
	}
	if left := number("close"); left > 0 {
		t.Errorf("%d goroutines are left after Close", left)
	}
}
