package install

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/systemd"
)

// ClosedAddresses are those of a socket unit on which nobody listens, as far as the
// system tells: a manager that is told of other addresses than it has opened says
// that the unit is active, and opens none before it is restarted.
func ClosedAddresses(u systemd.Unit) []string {
	open := sys.Listening()
	if u.Active != "active" || open == nil {
		return nil
	}
	var closed []string
	for _, l := range u.Listen {
		if l.Kind == "Stream" && !listensOn(open, l.Address) {
			closed = append(closed, l.Address)
		}
	}
	return closed
}

func listensOn(open *sys.Addresses, address string) bool {
	if at, err := parseAddress(address); err == nil {
		return open.TCP(at)
	}
	switch {
	case strings.HasPrefix(address, "/"):
		_, err := os.Lstat(address)
		return open.Unix(address) && !errors.Is(err, fs.ErrNotExist)
	case strings.HasPrefix(address, "@"):
		return open.Unix(address)
	}
	return true // vsock and the like, which are not looked up
}
