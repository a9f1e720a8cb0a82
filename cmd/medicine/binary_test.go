//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// program is the path of the real program, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "medicine-test-")
	if err != nil {
		return "", err
	}
	programDir = dir
	path := filepath.Join(dir, "medicine")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

var programDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if programDir != "" {
		os.RemoveAll(programDir)
	}
	os.Exit(code)
}

// A process is the program as its users have it, with its files in dir.
type process struct {
	*exec.Cmd
	url    string
	stdout *buffer
	stderr *buffer
	exited chan struct{} // closed when it has
}

func startProcess(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(path, append([]string{"-addr", "localhost:0"}, args...)...), exited: make(chan struct{})}
	p.stdout, p.stderr = new(buffer), new(buffer)
	p.Dir, p.Stdout, p.Stderr = dir, p.stdout, p.stderr
	p.Env = env // nothing of this process's
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s\n%s", p.stdout, p.stderr)
		}
	})
	waitFor(t, "the program to open", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("the program ended at once:\n%s", p.stderr)
		default:
		}
		m := opened.FindStringSubmatch(p.stdout.String())
		if m != nil {
			p.url = m[1]
		}
		return m != nil
	})
	return p
}

// What the README promises: started in an empty folder with nothing set, it
// keeps its sessions there.
func TestProgramWithNothingSet(t *testing.T) {
	dir := t.TempDir()
	v := &visitor{t: t}
	for _, pills := range [][]string{{"a"}, {"a", "b"}} {
		p := startProcess(t, dir, nil)
		v.add(p.url, pills[len(pills)-1])
		v.wantPills(p.url, pills...)
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-p.exited
		if code := p.ProcessState.ExitCode(); code != 0 {
			t.Errorf("SIGTERM ends the program with %d; want 0:\n%s", code, p.stderr)
		}
		for _, file := range []string{"medicine.db", secretFile} {
			info, err := os.Stat(filepath.Join(dir, file))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v; want it with the mode 0600", file, info, err)
			}
		}
		if left, _ := os.ReadDir(dir); len(left) != 2 {
			t.Errorf("the program left %v; want medicine.db and %s", left, secretFile)
		}
	}
}

func TestTwoProcessesStartAtOnce(t *testing.T) {
	for range 3 {
		dir := t.TempDir()
		var both [2]*process
		var wg sync.WaitGroup
		for i := range both {
			wg.Go(func() { both[i] = startProcess(t, dir, nil) })
		}
		wg.Wait()
		if both[0] == nil || both[1] == nil {
			t.FailNow()
		}
		v := &visitor{t: t}
		v.add(both[0].url, "a")
		v.add(both[1].url, "b")
		for _, p := range both {
			v.wantPills(p.url, "a", "b")
		}
	}
}

// On SIGTERM the program takes no more connections, lets requests that are
// under way finish, and closes the store.
func TestSIGTERMDrains(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, dir, nil)
	v := &visitor{t: t}
	v.add(p.url, "a")

	addr := strings.TrimPrefix(p.url, "http://")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const pill = `{"name":"slow"}`
	fmt.Fprintf(conn, "POST /pills HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		addr, v.cookie, len(pill))
	r := bufio.NewReader(conn)
	// The server says this when the handler reads, so that the request is under way.
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the server says %q, %v; want 100 Continue", line, err)
	}
	if _, err := r.ReadString('\n'); err != nil { // the empty line after it
		t.Fatal(err)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the program to say that it closes", func() bool { return strings.Contains(p.stdout.String(), "Medicine is closing.") })
	waitFor(t, "new connections to be refused", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case <-p.exited:
		t.Fatal("the program ended with a request under way")
	default:
	}
	io.WriteString(conn, pill)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("the answer to the slow request: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if want := `{"data":[{"name":"a"},{"name":"slow"}]}`; err != nil || res.StatusCode != 200 || string(body) != want {
		t.Errorf("the slow request = %d %s, %v; want 200 %s", res.StatusCode, body, err, want)
	}
	<-p.exited
	if code := p.ProcessState.ExitCode(); code != 0 {
		t.Errorf("SIGTERM ends the program with %d; want 0:\n%s", code, p.stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "medicine.db-*")); len(left) > 0 {
		t.Errorf("the program left %q: the store is not closed", left)
	}
	v.wantPills(startProcess(t, dir, nil).url, "a", "slow")
}

// What was acknowledged is there after the program was killed in the middle of
// its work.
func TestKillLosesNoAcknowledgedPill(t *testing.T) {
	const visitors, enough = 4, 40
	dir := t.TempDir()
	var all [visitors]visitor
	for i := range all {
		all[i].t = t
	}
	acknowledged := make([][]string, visitors)
	for round := range 3 {
		p := startProcess(t, dir, nil)
		for i := range all {
			// Everything acknowledged is there, and at most the one pill more
			// whose answer the kill cut off.
			_, answer := all[i].do("GET", p.url+"/pills", "")
			kept := strings.TrimSuffix(answer, "]}")
			want := `{"data":[` + strings.Join(acknowledged[i], ",")
			rest, ok := strings.CutPrefix(kept, want)
			if extra := strings.Count(rest, "name"); !ok || extra > 1 {
				t.Fatalf("round %d: visitor %d has %s after a kill; want %s and at most one more", round, i, answer, want)
			} else if extra == 1 {
				acknowledged[i] = append(acknowledged[i], strings.TrimPrefix(rest, ","))
			}
		}
		var wg sync.WaitGroup
		acks := make(chan struct{}, 1000)
		for i := range all {
			wg.Go(func() {
				for n := 0; ; n++ {
					pill := fmt.Sprintf(`{"name":"%d of round %d"}`, n, round)
					cookie, err := post(p.url, all[i].cookie, pill)
					if err != nil {
						return // killed
					}
					if cookie != "" {
						all[i].cookie = cookie
					}
					acknowledged[i] = append(acknowledged[i], pill)
					acks <- struct{}{}
				}
			})
		}
		for range enough {
			<-acks
		}
		p.Process.Kill()
		go func() {
			for range acks {
			}
		}()
		wg.Wait()
		close(acks)
		<-p.exited
	}
	p := startProcess(t, dir, nil)
	for i := range all {
		_, answer := all[i].do("GET", p.url+"/pills", "")
		if want := `{"data":[` + strings.Join(acknowledged[i], ","); !strings.HasPrefix(answer, want) {
			t.Errorf("visitor %d has %s after the last kill; want %s", i, answer, want)
		}
	}
}

// post adds a pill. It returns the cookie that the answer sets, if any, and an
// error unless the pill was acknowledged in full.
func post(url, cookie, pill string) (string, error) {
	req, err := http.NewRequest("POST", url+"/pills", strings.NewReader(pill))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != 200 || !strings.HasSuffix(string(body), pill+"]}") {
		return "", fmt.Errorf("%d %s", res.StatusCode, body)
	}
	set, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	return set, nil
}

func TestProgramSaysWhatIsWrong(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-store", "oracle://user:hunter2@x"}, 1, `medicine: store has the unknown scheme "oracle"`},
		{[]string{"-nope"}, 1, "medicine: flag provided but not defined: -nope"},
		{[]string{"-help"}, 0, "Usage: medicine"},
	} {
		cmd := exec.Command(path, test.args...)
		cmd.Dir, cmd.Env = t.TempDir(), []string{}
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(stderr.String(), test.want) || strings.Contains(stderr.String(), "hunter2") {
			t.Errorf("medicine %q ends with %d and says %s; want %d and %s", test.args, code, &stderr, test.code, test.want)
		}
		if stdout.Len() > 0 {
			t.Errorf("medicine %q writes %s to its standard output; want nothing", test.args, &stdout)
		}
	}
}
