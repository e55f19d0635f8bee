package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rondokit/rondo/master"
	"golang.org/x/sys/unix"
)

// inheritance is what a worker had when it started.
type inheritance struct {
	PID   int
	Group int
	Files map[int]string // what each descriptor is
	Env   []string
}

// inheritWorker reports what it was started with, and serves.
func inheritWorker() int {
	had := inheritance{PID: os.Getpid(), Group: unix.Getpgrp(), Files: map[int]string{}, Env: os.Environ()}
	for fd := range 4096 {
		if is, ok := descriptor(fd); ok {
			had.Files[fd] = is
		}
	}
	b, err := json.Marshal(had)
	if err == nil {
		err = os.WriteFile(filepath.Join(os.Getenv("TEST_DIR"), os.Getenv("RONDO_SLOT")), b, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return goWorker()
}

// descriptor tells what fd is, and opens nothing to find out.
func descriptor(fd int) (string, bool) {
	link := make([]byte, 256)
	n, err := unix.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd), link)
	return string(link[:max(n, 0)]), err == nil
}

// passedOn are the descriptors that this process was started with and that every
// program it starts gets, too: they are not the master's.
func passedOn() map[int]string {
	files := map[int]string{}
	for fd := 4; fd < 4096; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if is, ok := descriptor(fd); ok && err == nil && flags&unix.FD_CLOEXEC == 0 {
			files[fd] = is
		}
	}
	return files
}

// TestWorkersInheritOnlyWhatIsTheirs gives the master all that an init system gives a
// service, and looks at what a worker has of it: its output, its channel, and the
// variables of its own channel.
func TestWorkersInheritOnlyWhatIsTheirs(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		need(t, "a list of this process's descriptors", err)
	}
	dir, before := t.TempDir(), passedOn()
	gone := []string{"LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=web", "LISTEN_PIDFDID=1", "NOTIFY_SOCKET=/run/notify",
		"WATCHDOG_USEC=1", "WATCHDOG_PID=1", "FDSTORE=9", "JOURNAL_STREAM=1:1"}
	replaced := []string{"NODE_CHANNEL_FD=9", "NODE_UNIQUE_ID=99", "NODE_CHANNEL_SERIALIZATION_MODE=advanced",
		"RONDO_WORKER_ID=99", "RONDO_SLOT=99", "RONDO_GENERATION=99", "NODE_APP_INSTANCE=99"}
	env := append(append([]string{roleVar + "=inherit", "TEST_DIR=" + dir, "LISTENER=kept"}, gone...), replaced...)
	s := start(t, master.Config{Settings: quick(goCommand(t), 2)}, env...)
	for _, w := range s.status().Workers {
		had := readInheritance(t, filepath.Join(dir, fmt.Sprint(w.Slot)))
		if had.PID != w.PID || had.Group != w.PID {
			t.Errorf("worker %d: pid %d in group %d, want a group of its own, %d", w.ID, had.PID, had.Group, w.PID)
		}
		checkFiles(t, had.Files, before)
		want := []string{"NODE_CHANNEL_FD=3", fmt.Sprintf("NODE_UNIQUE_ID=%d", w.ID), "NODE_CHANNEL_SERIALIZATION_MODE=json",
			fmt.Sprintf("RONDO_WORKER_ID=%d", w.ID), fmt.Sprintf("RONDO_SLOT=%d", w.Slot), "RONDO_GENERATION=1",
			fmt.Sprintf("NODE_APP_INSTANCE=%d", w.Slot)}
		checkEnv(t, had.Env, gone, append(want, "LISTENER=kept"))
	}
}

func readInheritance(t *testing.T, path string) (had inheritance) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &had); err != nil {
		t.Fatal(err)
	}
	return had
}

// checkFiles wants descriptors 0 to 3 and, beside them, at most those of passed and
// what Go's runtime opens for itself.
func checkFiles(t *testing.T, files, passed map[int]string) {
	t.Helper()
	for fd, want := range []string{os.DevNull, "pipe:", "pipe:", "socket:"} {
		if !strings.HasPrefix(files[fd], want) {
			t.Errorf("descriptor %d is %q, want %q", fd, files[fd], want)
		}
		delete(files, fd)
	}
	for fd, is := range files {
		ofRuntime := is == "anon_inode:[eventpoll]" || is == "anon_inode:[eventfd]" || strings.HasPrefix(is, "/sys/fs/cgroup/")
		if is != passed[fd] && !ofRuntime {
			t.Errorf("descriptor %d is %q, want nothing there", fd, is)
		}
	}
}

// checkEnv wants each of want once, under its name alone, and none of the names in gone.
func checkEnv(t *testing.T, env, gone, want []string) {
	t.Helper()
	values := map[string][]string{}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		values[name] = append(values[name], value)
	}
	for _, kv := range gone {
		if name, _, _ := strings.Cut(kv, "="); values[name] != nil {
			t.Errorf("%s is %q in the worker's environment, want it gone", name, values[name])
		}
	}
	for _, kv := range want {
		if name, value, _ := strings.Cut(kv, "="); len(values[name]) != 1 || values[name][0] != value {
			t.Errorf("%s is %q in the worker's environment, want %q", name, values[name], value)
		}
	}
}
