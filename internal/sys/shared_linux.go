//go:build !portable

package sys

// Linux has memfd_create(2), which is sealed by fcntl(2).

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const sizeSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

func shared(name string, size int) (int, []byte, error) {
	fd, err := memfd(name)
	if err != nil {
		return -1, nil, fmt.Errorf("memfd_create: %w", err)
	}
	mem, err := seal(fd, size)
	if err != nil {
		unix.Close(fd)
		return -1, nil, err
	}
	return fd, mem, nil
}

// memfd says that it will not be executed, which Linux 6.3 and later want to hear
// and earlier ones do not know.
func memfd(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, err
}

func seal(fd, size int) ([]byte, error) {
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, fmt.Errorf("ftruncate: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, sizeSeals); err != nil {
		return nil, fmt.Errorf("F_ADD_SEALS: %w", err)
	}
	return mapShared(fd)
}

func mapShared(fd int) ([]byte, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("F_GET_SEALS: %w", err)
	}
	if seals&sizeSeals != sizeSeals {
		return nil, errors.New("its size is not sealed")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("fstat: %w", err)
	}
	return mapAll(fd, st.Size)
}

func clearShared(fd int, off, n int) error {
	if n <= 0 {
		return nil
	}
	return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(n))
}
