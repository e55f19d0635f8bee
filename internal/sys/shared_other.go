//go:build !linux || portable

package sys

// Elsewhere it is a file that has no name any more, so that nobody else can open it, and
// take away what is mapped: no seal is needed. What is in it may get to the disk, of which
// the system gives it back with the last descriptor.

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func shared(name string, size int) (int, []byte, error) {
	f, err := os.CreateTemp("", "rondo-"+name+"-") // close-on-exec, and of this user alone
	if err != nil {
		return -1, nil, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, nil, err
	}
	if err := f.Truncate(int64(size)); err != nil {
		return -1, nil, err
	}
	fd, err := DupFile(f)
	if err != nil {
		return -1, nil, fmt.Errorf("dup: %w", err)
	}
	mem, err := mapShared(fd)
	if err != nil {
		Close(fd)
		return -1, nil, err
	}
	return fd, mem, nil
}

func mapShared(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("fstat: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 0 {
		return nil, errors.New("it is no file without a name")
	}
	return mapAll(fd, st.Size)
}

// clearShared leaves it to the caller: files here have no holes to be punched by a call
// that all systems know.
func clearShared(int, int, int) error { return errors.ErrUnsupported }
