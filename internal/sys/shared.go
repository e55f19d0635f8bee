package sys

// Shared gives size bytes of zeroed memory that lives for as long as anybody has
// its descriptor or its mapping: a process that is killed leaves it as it was. Its
// size is sealed. The caller owns both; Unmap frees the memory. The error wraps
// errors.ErrUnsupported where there is no such memory.
func Shared(name string, size int) (fd int, mem []byte, err error) { return shared(name, size) }

// MapShared maps all of what Shared gave fd for, in this process or in an earlier
// one. It borrows fd. Memory whose size is not sealed is refused: who has another
// descriptor of it could take it away under us.
func MapShared(fd int) ([]byte, error) { return mapShared(fd) }

// Unmap takes memory of Shared or MapShared back. Nothing may use it after.
func Unmap(mem []byte) { unmap(mem) }

// Clear zeroes n bytes at off of the memory of fd, and gives whole pages of it back
// to the system.
func Clear(fd int, off, n int) error { return clearShared(fd, off, n) }
