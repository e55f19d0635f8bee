// Package side starts and ends what is compared: the same app alone, under rondo, and
// under or behind what people would otherwise run.
//
// Start returns when the side serves: its own word for it, if it has one, and a first
// answered request. Stop returns when nothing of it is left. Everything is on loopback
// and in directories of its own.
package side

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/bench/proc"
)

// patience guards against a hang; nothing is measured by it. It is longer than what
// rondo gives its workers to finish.
const patience = 60 * time.Second

// A Host is where sides run.
type Host struct {
	Rondo string // the program
	Hello string // the Go app
	Apps  string // the directory of the Node apps
	NPM   string // the directory of pm2's node_modules
	Dir   string // for temporary files
	next  int
}

// A Side is one way to serve the app.
type Side struct {
	Name  string // as in go-rondo-2
	Title string // for people
	Start func(context.Context, *Host) (*Running, error)
}

// Running is a side that serves.
type Running struct {
	Addresses []string
	Master    int           // the process that distributes connections; 0 without one
	Took      time.Duration // from the start of its program to its word that it serves

	dir   string
	roots []int // processes that the others of the side descend from
	stops []func() error
	rondo *rondoRunning                                   // nil for other sides
	pm2   func(ctx context.Context, args ...string) error // nil for other sides
}

// Address is the first one.
func (r *Running) Address() string { return r.Addresses[0] }

// newRunning makes the directory of a side.
func (h *Host) newRunning() (*Running, error) {
	h.next++
	dir := filepath.Join(h.Dir, "side-"+strconv.Itoa(h.next))
	return &Running{dir: dir}, os.Mkdir(dir, 0o700)
}

// start runs begin for a new Running, and undoes what it has done if it fails.
func (h *Host) start(begin func(*Running) error) (*Running, error) {
	r, err := h.newRunning()
	if err != nil {
		return nil, err
	}
	if err := begin(r); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// environ is the environment of all sides: nothing of the caller's changes what is
// measured.
func environ(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C"}, more...)
}

// launch starts a program of the side, which Stop will end.
func (r *Running) launch(c command) (*process, error) {
	c.dir = r.dir
	p, err := c.start()
	if err != nil {
		return nil, err
	}
	r.roots = append(r.roots, p.pid)
	r.stops = append(r.stops, p.stop)
	return p, nil
}

// Pids gives all processes of the side.
func (r *Running) Pids() ([]int, error) {
	all := slices.Clone(r.roots)
	for _, root := range r.roots {
		below, err := proc.Descendants(root)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Workers gives the processes that Master has started.
func (r *Running) Workers() ([]int, error) {
	if r.Master == 0 {
		return nil, errors.New("this side has no master")
	}
	return proc.Children(r.Master)
}

// Stop ends the side. What does not end by itself is killed, and is an error.
func (r *Running) Stop() error {
	left, err := r.handles()
	errs := []error{err}
	for _, stop := range slices.Backward(r.stops) {
		errs = append(errs, stop())
	}
	for pid, fd := range left {
		errs = append(errs, awaitEnd(pid, fd, afterwards))
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}

// handles opens a pidfd for each process of the side: a pid might be used again.
func (r *Running) handles() (map[int]int, error) {
	pids, err := r.Pids()
	if err != nil {
		return nil, err
	}
	fds := map[int]int{}
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		fds[pid] = fd
	}
	return fds, nil
}

// afterwards is how long what is left of a side may take when its roots have ended.
const afterwards = 5 * time.Second

// awaitEnd waits so long for the end of a process that was told to end, and takes fd.
func awaitEnd(pid, fd int, long time.Duration) error {
	defer unix.Close(fd)
	if ended(fd, long) {
		unix.Wait4(pid, nil, unix.WNOHANG, nil) // if it became ours when its parent ended
		return nil
	}
	unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	ended(fd, afterwards)
	unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return fmt.Errorf("process %d of the side was left over, and was killed", pid)
}

// ended waits for the end of the process that fd is of.
func ended(fd int, long time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	limit := time.Now().Add(long)
	for {
		n, err := unix.Poll(fds, int(time.Until(limit).Milliseconds()))
		if n > 0 || err != unix.EINTR {
			return n > 0
		}
	}
}
