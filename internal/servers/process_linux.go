package servers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// An identity is a user of the machine that is not root.
type identity struct{ uid, gid int }

// unprivileged returns the user that runs what refuses to run as root, or nil
// if we are not root ourselves.
func unprivileged() (*identity, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return &identity{uid, gid}, errors.Join(err1, err2)
}

// own gives a folder to the user.
func (who *identity) own(dir string) error {
	if who == nil {
		return nil
	}
	return os.Chown(dir, who.uid, who.gid)
}

// command returns a command of this user, to be started by [starter]. The
// kernel sends it death when this process ends, however it does.
func (who *identity) command(argv []string, dir string, death syscall.Signal) *exec.Cmd {
	if who != nil {
		// The programs may lie below root's own folders, which are closed to
		// others. CAP_DAC_OVERRIDE opens them, and is among what a container
		// has. Without the bit, access(2) leaves it out of account, by which
		// PostgreSQL looks for its programs. SysProcAttr knows no such bit.
		argv = append([]string{
			"setpriv", fmt.Sprintf("--reuid=%d", who.uid), fmt.Sprintf("--regid=%d", who.gid), "--clear-groups",
			"--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
			// The wish below is gone with the user.
			"--pdeathsig=" + deathNames[death],
		}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	// A group of its own keeps the terminal's interrupt away: tests come to
	// their ends first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death}
	return cmd
}

// deathNames are the signals of death by the names that setpriv takes.
var deathNames = map[syscall.Signal]string{syscall.SIGKILL: "KILL", syscall.SIGQUIT: "QUIT"}

// A process is a running server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// starter runs functions on a thread that lasts as long as this process: the
// kernel signals a child's death wish when the thread that started it ends.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// launch runs a command in dir, with its output appended to the file log, until
// it is killed or this process ends. The signal for the latter is death, or
// SIGKILL if that is 0.
func launch(argv []string, dir, log string, as *identity, death syscall.Signal) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if death == 0 {
		death = syscall.SIGKILL
	}
	cmd := as.command(argv, dir, death)
	cmd.Stdout, cmd.Stderr = out, out
	started := make(chan error)
	starter() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is of no interest: it was to run on
		close(p.done)
	}()
	return p, nil
}

// run runs a command of a server to its end.
func run(argv []string, dir string, as *identity) error {
	cmd := as.command(argv, dir, syscall.SIGKILL)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	finished := make(chan error)
	starter() <- func() {
		err := cmd.Start()
		go func() {
			if err == nil {
				err = cmd.Wait()
			}
			finished <- err
		}()
	}
	if err := <-finished; err != nil {
		said := out.Bytes()
		return fmt.Errorf("%s: %w\n%s", filepath.Base(argv[0]), err, said[max(0, len(said)-2000):])
	}
	return nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// pause stops the process and its children.
func (p *process) pause() error { return p.signal(syscall.SIGSTOP) }

// resume lets the process and its children go on.
func (p *process) resume() error { return p.signal(syscall.SIGCONT) }

// signal sends sig to the process and its children.
func (p *process) signal(sig syscall.Signal) error {
	if p.ended() {
		return errors.New("it has ended")
	}
	for _, pid := range family(p.cmd.Process.Pid) {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

// ask sends sig to the process alone and gives it a while to end.
func (p *process) ask(sig syscall.Signal, patience time.Duration) {
	if p.ended() || p.resume() != nil || p.cmd.Process.Signal(sig) != nil {
		return
	}
	select {
	case <-p.done:
	case <-time.After(patience):
	}
}

// kill ends the process and its children and returns when they are gone.
func (p *process) kill() error {
	if !p.ended() {
		pid := p.cmd.Process.Pid
		// Stopped, it has no more children while they are looked for.
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && err != syscall.ESRCH {
			return err
		}
		all := family(pid)
		for _, pid := range all {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				return err
			}
		}
		<-p.done
		for _, child := range all[1:] {
			for running(child) {
				time.Sleep(time.Millisecond)
			}
		}
	}
	return nil
}

// family returns a process and its descendants. PostgreSQL gives each of its
// children a process group of its own, so that the group is not enough.
func family(pid int) []int {
	parents := make(map[int]int)
	for _, p := range processes() {
		if stat := readStat(p); stat != nil {
			parents[p], _ = strconv.Atoi(stat[1])
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		for child, parent := range parents {
			if parent == all[i] && !slices.Contains(all, child) {
				all = append(all, child)
			}
		}
	}
	return all
}

// running reports whether there is such a process that is not a zombie.
func running(pid int) bool {
	stat := readStat(pid)
	return stat != nil && stat[0] != "Z" && stat[0] != "X"
}

// readStat returns the state, the parent and what else follows the name in
// /proc/PID/stat, or nil if there is no such process.
func readStat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The name may hold anything, parentheses and spaces too.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return nil
	}
	return fields
}

// processes lists all processes that there are.
func processes() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// listens reports whether the process, or a child of it, listens on the port.
// That anything answers there does not say that much.
func (p *process) listens(port int) bool {
	pid := p.cmd.Process.Pid
	sockets := listeners(pid, port)
	if len(sockets) == 0 {
		return false
	}
	for _, pid := range family(pid) {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && slices.Contains(sockets, to) {
				return true
			}
		}
	}
	return false
}

// listeners returns the sockets that listen on a port, as they appear among
// the open files of a process, in the network namespace of the process.
func listeners(pid, port int) []string {
	var sockets []string
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		const listening = "0A"
		suffix := fmt.Sprintf(":%04X", port)
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			f := strings.Fields(lines.Text())
			if len(f) > 9 && strings.HasSuffix(f[1], suffix) && f[3] == listening {
				sockets = append(sockets, "socket:["+f[9]+"]")
			}
		}
	}
	return sockets
}

// tryLock locks a folder for as long as the returned file is open, or returns
// nil if another has it, it is another user's, or it is gone. A process that
// dies lets go.
func tryLock(dir string) *os.File {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		opened, err1 := f.Stat()
		there, err2 := os.Stat(dir)
		// It may have been removed, and another one made, before the lock.
		if err1 == nil && err2 == nil && os.SameFile(opened, there) && ours(there) {
			return f
		}
	}
	f.Close()
	return nil
}

// ours reports whether a file belongs to us.
func ours(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// killAllIn kills every process whose working directory is below dir, as that
// of each server is, and waits for their ends.
func killAllIn(dir string) {
	for range 100 {
		left := runningIn(dir)
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			// One that is gone already is as good as killed.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// runningIn lists the processes that run in a folder or below it.
func runningIn(dir string) []int {
	var pids []int
	for _, pid := range processes() {
		cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		if err == nil && (cwd == dir || strings.HasPrefix(cwd, dir+"/")) && running(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}
