//go:build !linux

package activation

// Other systems have no systemd, so nothing is passed by LISTEN_FDS. Variables that
// announce descriptors all the same are not ignored: the sockets behind them would
// never be served.

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

func receive(names []string, stored func(name string, servable bool) bool) ([]Socket, []*os.File, error) {
	return nil, nil, fmt.Errorf("activation: %d descriptors passed by LISTEN_FDS on %s: %w",
		len(names), runtime.GOOS, errors.ErrUnsupported)
}

func discard([]string) {}

func pidfdID() (uint64, bool) { return 0, false }
