package activation

// Descriptors are raw here, where they are examined, and nowhere else in this package:
// they are born outside of it, with flags and of kinds that are unknown until asked.

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// firstPassed is SD_LISTEN_FDS_START.
const firstPassed = 3

// A descriptor is one that the manager passed. Whoever holds it must close it.
type descriptor struct {
	fd   int
	name string
}

// errorf is err's text about d: "descriptor 3 ("http") is a FIFO".
func (d descriptor) errorf(format string, args ...any) error {
	args = append([]any{d.fd, d.name}, args...)
	return fmt.Errorf("activation: descriptor %d (%q) "+format, args...)
}

// receive takes the descriptors that belong to names and gives those that stored
// accepts as files, and the others as sockets: all, or nothing and an error.
func receive(names []string, stored func(name string, servable bool) bool) ([]Socket, []*os.File, error) {
	passed, err := inherit(names)
	bad := []error{err}
	var sockets []Socket
	var served, kept []descriptor
	for _, d := range passed {
		s, err := examine(d.fd)
		switch {
		case stored(d.name, err == nil):
			kept = append(kept, d)
		case err != nil:
			bad = append(bad, d.errorf("%w", err))
		default:
			s.Name, s.Index = d.name, d.fd-firstPassed
			sockets, served = append(sockets, s), append(served, d)
		}
	}
	if err := errors.Join(bad...); err != nil {
		closeAll(passed)
		return nil, nil, err
	}
	// Only now, when all are ours to keep: O_NONBLOCK is shared with whoever else
	// has the socket. What was stored is as its owner wants it.
	for _, d := range served {
		if err := unix.SetNonblock(d.fd, true); err != nil {
			closeAll(passed)
			return nil, nil, d.errorf("set non-blocking: %w", err)
		}
	}
	for i, f := range files(served) {
		sockets[i].File = f
	}
	return sockets, files(kept), nil
}

// files gives descriptors their owners. A File made of a non-blocking descriptor is in
// Go's poller, one made of a blocking one is not, and the Fd of either leaves the flag
// alone (go1.26.8, os/file_unix.go), which net.FileListener needs.
func files(of []descriptor) []*os.File {
	var fs []*os.File
	for _, d := range of {
		fs = append(fs, os.NewFile(uintptr(d.fd), d.name))
	}
	return fs
}

// inherit takes the descriptors that belong to names and makes them close-on-exec,
// whatever they are. It returns those that it took, even with an error.
//
// A descriptor that is close-on-exec already did not come through an exec: the
// number was free or was closed, and somebody in this process has it now. The Go
// runtime is always first: it keeps the cgroup's CPU limit open from before main,
// and its poller (seen with go1.26.8). Such a descriptor is not ours to close.
func inherit(names []string) ([]descriptor, error) {
	var taken []descriptor
	var bad []error
	for i, name := range names {
		d := descriptor{fd: firstPassed + i, name: name}
		flags, err := unix.FcntlInt(uintptr(d.fd), unix.F_GETFD, 0)
		switch {
		case err != nil:
			bad = append(bad, d.errorf("is not open: %w: whoever set LISTEN_FDS must pass that many, and nothing may close them before Take", err))
		case flags&unix.FD_CLOEXEC != 0:
			bad = append(bad, d.errorf("was opened or taken by this process itself%s: whoever set LISTEN_FDS must pass that many, and only one may take them", target(d.fd)))
		default:
			unix.CloseOnExec(d.fd)
			taken = append(taken, d)
		}
	}
	return taken, errors.Join(bad...)
}

// discard takes and closes the descriptors that belong to names.
func discard(names []string) {
	passed, _ := inherit(names) // what is not there needs no closing
	closeAll(passed)
}

func closeAll(passed []descriptor) {
	for _, d := range passed {
		unix.Close(d.fd)
	}
}
