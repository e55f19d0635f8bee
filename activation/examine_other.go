//go:build !linux || portable

package activation

// Other systems have no systemd. There LISTEN_FDS is of tools that borrow its way, such
// as those that keep a port open while a program is built anew.

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// examine borrows fd and says which socket it is; Name, Index and File are left to
// the caller. An error reads on from the descriptor's name.
func examine(fd int) (Socket, error) {
	s, err := inspect(fd)
	if errors.Is(err, unix.ENOTSOCK) {
		return Socket{}, errors.New("is not a socket: pass only sockets")
	}
	if err != nil {
		return Socket{}, err
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return Socket{}, fmt.Errorf("getsockopt: %w", err)
	}
	s.Listening = listening != 0
	return s, nil
}

// target would say where fd leads to, which no other system tells.
func target(int) string { return "" }

// pidfdID would be a number that no other process ever gets.
func pidfdID() (uint64, bool) { return 0, false }
