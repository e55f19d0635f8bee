package activation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A report is what a child that called Take found, as JSON on its standard output.
type report struct {
	Sockets    []found
	Stored     []kept
	Asked      []string // which names TakeWithStored asked for, each once
	Err        string
	Again      string   // what a second Take gave, if anything
	Variables  []string // of systemd, left in the environment
	Closed     int      // descriptors fewer after Take and closing all Files than before
	PipeBroken bool     // a pipe opened before Take no longer worked after it
}

// found is a Socket as the child saw it.
type found struct {
	Name          string
	Index         int
	Kind          Kind
	Network, Addr string
	Listening     bool
	V6Only        bool
	CloseOnExec   bool
	NonBlocking   bool
}

// kept is a stored File as the child saw it.
type kept struct {
	Name        string
	Is          string // as identity has it
	CloseOnExec bool
	NonBlocking bool
}

func init() {
	roles["launch"] = launch
	roles["take"] = take
	roles["serve"] = serve
}

// launch does what systemd does between fork and exec: it sets LISTEN_PID to its
// own pid and becomes another role. TEST_PIDFDID=own or other adds LISTEN_PIDFDID.
func launch() int {
	// What leaked into the test from whoever started it was not passed.
	passed, err := strconv.Atoi(os.Getenv("TEST_PASSED"))
	if err == nil {
		err = unix.CloseRange(uint(firstPassed+passed), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "close_range:", err)
		return 1
	}
	if os.Getenv("LISTEN_PID") == "" {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	if which := os.Getenv("TEST_PIDFDID"); which != "" {
		fd, err := unix.PidfdOpen(os.Getpid(), 0)
		if err != nil {
			fmt.Fprintln(os.Stderr, "pidfd_open:", err)
			return 1
		}
		// os.Stat by name, so that the test does not ask as the code does.
		fi, err := os.Stat("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		id := fi.Sys().(*syscall.Stat_t).Ino
		if which == "other" {
			id++
		}
		os.Setenv("LISTEN_PIDFDID", strconv.FormatUint(id, 10))
	}
	os.Setenv(roleKey, os.Getenv("TEST_NEXT_ROLE"))
	err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	fmt.Fprintln(os.Stderr, "exec:", err)
	return 1
}

// take calls Take, or TakeWithStored if TEST_STORED is set, reports and closes all.
func take() int {
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	before := len(descriptors())
	sockets, files, asked, err := takeAny(os.Getenv("TEST_STORED") != "")
	rep := describe(sockets, err)
	rep.Asked, rep.Stored = asked, describeStored(files)
	for _, s := range sockets {
		s.File.Close()
	}
	for _, f := range files {
		f.Close()
	}
	rep.Closed = before - len(descriptors())
	w.Write([]byte("x"))
	if n, _ := r.Read(make([]byte, 1)); n != 1 {
		rep.PipeBroken = true
	}
	json.NewEncoder(os.Stdout).Encode(rep)
	return 0
}

// serve answers one connection on the first socket, by way of net.FileListener,
// with a report of what was passed.
func serve() int {
	sockets, err := Take()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := net.FileListener(sockets[0].File)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	rep := describe(sockets, nil) // after FileListener: the flags must have survived it
	conn, err := l.Accept()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	json.NewEncoder(conn).Encode(rep)
	conn.Close()
	return 0
}

// describe reports what Take gave, and calls it again.
func describe(sockets []Socket, err error) report {
	var rep report
	if err != nil {
		rep.Err = err.Error()
	}
	for _, s := range sockets {
		f := found{
			Name: s.Name, Index: s.Index, Kind: s.Kind, Network: s.Addr.Network(), Addr: s.Addr.String(),
			Listening: s.Listening, V6Only: s.V6Only,
		}
		f.CloseOnExec, f.NonBlocking, err = flags(s.File)
		if err != nil {
			rep.Err = err.Error()
		}
		rep.Sockets = append(rep.Sockets, f)
	}
	if again, err := Take(); len(again) != 0 || err != nil {
		rep.Again = fmt.Sprint(again, err)
	}
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "LISTEN_") {
			rep.Variables = append(rep.Variables, kv)
		}
	}
	return rep
}

// flags tells what File was made of.
func flags(file *os.File) (closeOnExec, nonBlocking bool, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return false, false, err
	}
	err = raw.Control(func(fd uintptr) {
		flags, _ := unix.FcntlInt(fd, unix.F_GETFD, 0)
		closeOnExec = flags&unix.FD_CLOEXEC != 0
		flags, _ = unix.FcntlInt(fd, unix.F_GETFL, 0)
		nonBlocking = flags&unix.O_NONBLOCK != 0
	})
	return closeOnExec, nonBlocking, err
}

// runTake passes files to a child, as systemd would with env, and returns what the
// child's Take gave. env overrides LISTEN_FDS and LISTEN_PID; the latter is the
// child's own pid otherwise.
func runTake(t *testing.T, files []*os.File, env ...string) report {
	t.Helper()
	cmd := command(t, "launch", env...)
	cmd.Env = append(cmd.Env, "TEST_NEXT_ROLE=take", "TEST_PASSED="+strconv.Itoa(len(files)))
	used.Store("take", true)
	cmd.ExtraFiles = files
	if !strings.Contains(strings.Join(env, "\n"), "LISTEN_FDS=") {
		cmd.Env = append(cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(files)))
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v", err)
	}
	return decode(t, bytes.NewReader(out))
}

// command is this binary in a role, stopped at the end of the test.
func command(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	used.Store(role, true)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(append(os.Environ(), roleKey+"="+role), env...)
	cmd.Stderr = t.Output()
	return cmd
}

func decode(t *testing.T, r io.Reader) report {
	t.Helper()
	var rep report
	if err := json.NewDecoder(r).Decode(&rep); err != nil {
		t.Fatalf("report of the child: %v", err)
	}
	if rep.Again != "" {
		t.Errorf("a second Take() gave %s, want nothing", rep.Again)
	}
	if len(rep.Variables) != 0 {
		t.Errorf("after Take the environment has %q, want none of them", rep.Variables)
	}
	return rep
}

// descriptors lists what this process has open; reading the list is one of them.
func descriptors() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	var fds []string
	for _, e := range entries {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		fds = append(fds, e.Name()+" "+to)
	}
	return fds
}

// countDescriptors fails the test if, after its other cleanups, it has left any open.
func countDescriptors(t *testing.T) {
	t.Helper()
	before := descriptors()
	t.Cleanup(func() {
		if after := descriptors(); len(after) != len(before) {
			t.Errorf("%d descriptors are open, want %d\nbefore %q\nafter  %q", len(after), len(before), before, after)
		}
	})
}
