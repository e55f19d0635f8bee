package sys

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// MaxDescriptors is how many descriptors this process may have open.
func MaxDescriptors() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 1024 // what every system allows
	}
	return int(min(r.Cur, 1<<30))
}

// IsOfConnection tells whether an error of Accept is of the one connection that was
// about to be accepted, which is gone. Any other stays until its cause ends.
// Source: accept(2), "Error handling".
func IsOfConnection(err error) bool {
	switch err {
	case unix.ECONNABORTED, unix.ENETDOWN, unix.EPROTO, unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENETUNREACH:
		return true
	}
	return false
}

// eachOpen makes the descriptors that a directory lists close-on-exec.
func eachOpen(dir string, first int) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	return err
}
