package sys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Shared gives size bytes of zeroed memory that lives for as long as anybody has
// its descriptor or its mapping: a process that is killed leaves it as it was. Its
// size stays. The caller owns both; Unmap frees the memory.
func Shared(name string, size int) (fd int, mem []byte, err error) { return shared(name, size) }

// MapShared maps all of what Shared gave fd for, in this process or in an earlier
// one. It borrows fd. Memory whose size somebody else could change is refused: it would be
// taken away under us.
func MapShared(fd int) ([]byte, error) { return mapShared(fd) }

// Unmap takes memory of Shared or MapShared back. Nothing may use it after.
func Unmap(mem []byte) { unix.Munmap(mem) }

func mapAll(fd int, size int64) ([]byte, error) {
	mem, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return mem, nil
}

// Clear zeroes n bytes at off of the memory of fd, and gives whole pages of it back
// to the system. Where there is an error, as with one that cannot, it did nothing.
func Clear(fd int, off, n int) error { return clearShared(fd, off, n) }
