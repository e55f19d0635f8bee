package notify

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

const (
	maxName   = 255 // bytes of a descriptor's name (systemd's FDNAME_MAX)
	maxRights = 253 // descriptors in a message (Linux's SCM_MAX_FD)
)

// Store puts descriptors, which it borrows, into the manager's file descriptor store
// under a name; several may have the same. The manager passes them to the next
// process of the service, after the sockets of its units: see package activation.
//
// They stay until Remove, or until the service ends for good. They do not leave when
// their other end is closed (FDPOLL=0), so what a peer wrote before it died can still
// be read. The other end of a stored socket therefore sees no end of file while the
// store holds it: Remove what is done with.
//
// An open file is stored once: storing it again, by any descriptor and under any name,
// changes nothing.
//
// Like Send, Store does not wait. A nil error says that the message is on its way, and
// not that the manager took it: what a full store has no room for, anything at all
// where FileDescriptorStoreMax=0, and what comes from a process that NotifyAccess= does
// not let speak, the manager closes, and only its own log tells. Where no manager
// listens, nothing is stored and the error wraps errors.ErrUnsupported.
func (n *Notifier) Store(name string, fds ...int) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(fds) == 0 || len(fds) > maxRights {
		return fmt.Errorf("notify: store %d descriptors as %s: want from 1 to %d at a time", len(fds), name, maxRights)
	}
	if n == nil || n.sock == nil {
		return fmt.Errorf("notify: store %s: no service manager listens: %w", name, errors.ErrUnsupported)
	}
	return n.send("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, fds...)
}

// Remove takes all descriptors of that name out of the store; the manager closes its
// copies. A name that is not there is no error. Like Send, Remove does not wait, and
// does nothing where no manager listens.
func (n *Notifier) Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if n == nil || n.sock == nil {
		return nil
	}
	return n.send("FDSTOREREMOVE=1\nFDNAME=" + name)
}

// StoreMax is how many descriptors the store may hold: the unit's
// FileDescriptorStoreMax=. 0 says that there is no store, or that the manager does not
// tell: systemd does from 254 on, if there is one. Before, as in 252, only its D-Bus
// property FileDescriptorStoreMax does.
func (n *Notifier) StoreMax() int {
	if n == nil || n.sock == nil {
		return 0
	}
	return n.storeMax
}

// checkName says why the manager would not store anything under name: it would take
// "stored" for the name instead, without an error (fdname_is_valid). An empty name
// it knows, but gives back as none.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("notify: name of %d bytes for a stored descriptor: want from 1 to %d", len(name), maxName)
	}
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= 0x7f || c == ':' {
			return fmt.Errorf("notify: name %q for a stored descriptor: want ASCII without control characters and %q", name, ":")
		}
	}
	return nil
}

// parseStoreMax reads FDSTORE.
func parseStoreMax(value string) (int, error) {
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("notify: FDSTORE=%q: want a number of descriptors", value)
	}
	return int(min(n, math.MaxInt32)), nil
}
