//go:build linux

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup holds all processes of one machine. Its owner keeps a lock on the
// directory, so one without is of a process that is gone.
type cgroup struct {
	name string
	path string // in the v2 hierarchy
	dir  *os.File
}

const cgroupPrefix = "rondo-machine-"

// hierarchies finds where cgroups are mounted. systemd-nspawn copies its cgroup's
// name from v2 to the v1 hierarchy named systemd where there are both.
func hierarchies() (v2 string, all []string, err error) {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return "", nil, err
	}
	for line := range strings.Lines(string(text)) {
		head, kind, ok := strings.Cut(line, " - ")
		f := strings.Fields(head)
		if !ok || len(f) < 5 || f[3] != "/" || !strings.HasPrefix(kind, "cgroup") {
			continue
		}
		all = append(all, f[4])
		if strings.HasPrefix(kind, "cgroup2 ") && v2 == "" {
			v2 = f[4]
		}
	}
	if v2 == "" {
		return "", nil, errors.New("machine: no cgroup2 hierarchy is mounted")
	}
	return v2, all, nil
}

// newCgroup makes one. The caller holds the lock of treesDir, so that no sweep
// comes between making and locking.
func newCgroup() (*cgroup, error) {
	v2, _, err := hierarchies()
	if err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(v2, cgroupPrefix)
	if err != nil {
		return nil, fmt.Errorf("machine: cgroup: %w", err)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("machine: cgroup: %w", err)
	}
	g := &cgroup{name: filepath.Base(path), path: path, dir: dir}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("machine: lock cgroup: %w", err), g.end())
	}
	// The machine may use what there is. One that cannot be had here, as it is used in
	// a v1 hierarchy, is not there either.
	controllers, _ := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	for _, c := range strings.Fields(string(controllers)) {
		os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), []byte("+"+c), 0)
	}
	return g, nil
}

// sweep ends the machines whose owner is gone. The caller holds the lock.
func sweep() error {
	v2, _, err := hierarchies()
	if err != nil {
		return err
	}
	found, _ := filepath.Glob(filepath.Join(v2, cgroupPrefix+"*"))
	for _, path := range found {
		dir, err := os.Open(path)
		if err != nil {
			continue // its owner has just removed it
		}
		g := &cgroup{name: filepath.Base(path), path: path, dir: dir}
		if unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			dir.Close() // it has an owner
		} else if err := g.end(); err != nil {
			return err
		}
	}
	return nil
}

// end kills what is left in g, removes it and lets go of it.
func (g *cgroup) end() error {
	defer g.dir.Close()
	if err := os.WriteFile(filepath.Join(g.path, "cgroup.kill"), []byte("1"), 0); err != nil {
		return fmt.Errorf("machine: kill: %w", err)
	}
	if err := awaitEmpty(g.path, patience); err != nil {
		return err
	}
	_, all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := removeCgroup(filepath.Join(h, g.name)); err != nil {
			return fmt.Errorf("machine: remove cgroup: %w", err)
		}
	}
	return nil
}

// removeCgroup removes the directories, the innermost first; the files in them
// are the kernel's.
func removeCgroup(path string) error {
	var dirs []string
	filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return nil // what is gone need not be removed
	})
	for _, d := range slices.Backward(dirs) {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// awaitEmpty waits until no process is in the cgroup or below it.
func awaitEmpty(path string, limit time.Duration) error {
	events, err := os.Open(filepath.Join(path, "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer events.Close()
	for end := time.Now().Add(limit); ; {
		buf := make([]byte, 256)
		n, err := events.ReadAt(buf, 0)
		if errors.Is(err, unix.ENODEV) || strings.Contains(string(buf[:n]), "populated 0") {
			return nil // ENODEV: it has been removed
		}
		left := time.Until(end)
		if left <= 0 {
			return fmt.Errorf("machine: in cgroup %s after %v: %v", path, limit, processes(path))
		}
		// The kernel tells of a change by POLLPRI. EINTR and a timeout look again.
		unix.Poll([]unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}, int(left.Milliseconds())+1)
	}
}

// Process is a process of a machine.
type Process struct {
	PID     int    // in the machine; 0 for one that is not
	HostPID int    // as this process sees it
	Command string // its arguments, or its name if it shows none
	Cgroup  string // as the machine sees it: "/system.slice/app.service"
}

func (p Process) String() string { return fmt.Sprintf("%d (%s) in %s", p.PID, p.Command, p.Cgroup) }

// processes lists what is in a cgroup and below it.
func processes(path string) (found []Process) {
	filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		b, _ := os.ReadFile(filepath.Join(p, "cgroup.procs")) // gone: no process
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				continue
			}
			if proc, ok := process(pid); ok {
				proc.Cgroup = strings.TrimPrefix(p, path)
				found = append(found, proc)
			}
		}
		return nil
	})
	return found
}

// process describes a process; it may be gone.
func process(host int) (Process, bool) {
	dir := fmt.Sprintf("/proc/%d/", host)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return Process{}, false
	}
	p := Process{HostPID: host}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && f[0] == "Name:":
			p.Command = f[1]
		case len(f) > 3 && f[0] == "NSpid:": // ours, that of systemd-nspawn, the machine's
			p.PID, _ = strconv.Atoi(f[3])
		}
	}
	if args, _ := os.ReadFile(dir + "cmdline"); len(args) > 0 {
		p.Command = strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))
	}
	return p, true
}
