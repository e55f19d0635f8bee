//go:build !portable

package sys

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const maxSunPath = 108

// shortPath goes by way of the directory, of which proc(5) has a name by its descriptor.
func shortPath(path string) (short string, release func(), err error) {
	fd, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", fd, filepath.Base(path))
	if len(short) > maxPath {
		Close(fd)
		return "", nil, unix.ENAMETOOLONG
	}
	return short, func() { Close(fd) }, nil
}
