// Package notify tells the service manager what this process does: systemd's
// sd_notify protocol.
//
// New takes the manager's address from the environment, so that no worker speaks in
// our name. Where no manager listens, it gives a Notifier that does nothing, so
// callers need no ifs. A message is one datagram of one or more states; it is sent
// at once or not at all.
//
// The socket is our own and not that of coreos/go-systemd/daemon, which (v22.7.0)
// opens a new one for each message, waits while the manager's queue is full, sends
// no descriptors, and reads WATCHDOG_USEC into an int, which is too small for
// WatchdogSec=1h on 32-bit systems.
//
// The manager also keeps descriptors for the next process of this service: Store gives
// it copies, Remove takes them back, and a Barrier tells when it has them.
//
// # Ownership
//
// A Notifier owns its socket until Close, and borrows the descriptors that it stores.
// A Barrier owns a pipe until its Wait returns. All methods may be called at the same
// time from several goroutines; none is left running.
//
// # Errors
//
// New fails when the environment asks for what this package cannot do; a nil
// Notifier does nothing, so a caller may log that and go on. Send, Store, Remove and
// Barrier fail with the errno of sendmsg underneath: EAGAIN when the manager's queue is
// full. The message is lost then. Whether it is worth sending again is the caller's to
// know: READY=1 is, the next STATUS replaces the last. Only Store fails where there
// is nobody to tell, because a caller that counts on the store must know.
package notify

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxMessage is the longest message that systemd reads (NOTIFY_BUFFER_MAX); it drops
// a longer one whole, with a line in its own log.
const maxMessage = 4096

// A Notifier sends messages to the service manager. Use New; nil is a Notifier that
// does nothing.
type Notifier struct {
	sock     *socket // nil when nobody is to be told
	watchdog time.Duration
	storeMax int
	environ  []string // what New removed
}

// New gives a Notifier for the manager that NOTIFY_SOCKET names, and one that does
// nothing when it is unset. It does not look whether anybody listens: a later Send
// does.
//
// NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID and FDSTORE are removed from the
// environment in every case, so that no worker takes them for its own; see Environ.
// Addresses other than a path or an @abstract name, and all addresses on systems other
// than Linux, are errors that wrap errors.ErrUnsupported.
func New() (*Notifier, error) {
	n := new(Notifier)
	address := n.takeVariable("NOTIFY_SOCKET")
	usec, pid := n.takeVariable("WATCHDOG_USEC"), n.takeVariable("WATCHDOG_PID")
	store := n.takeVariable("FDSTORE")

	var err error
	if n.watchdog, err = parseWatchdog(usec, pid, os.Getpid()); err != nil {
		return nil, err
	}
	if n.storeMax, err = parseStoreMax(store); err != nil {
		return nil, err
	}
	if address == "" {
		return n, nil
	}
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	if n.sock, err = open(address); err != nil {
		return nil, fmt.Errorf("notify: socket for %s: %w", address, err)
	}
	return n, nil
}

// WatchdogTimeout is how long the manager waits for the next Alive before it takes
// this process for hung, 0 when it does not watch. Send Alive twice as often.
func (n *Notifier) WatchdogTimeout() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Environ gives the variables that New removed, as os.Environ does: a process that
// execs its successor in its own place, with its own pid, hands them on with these.
func (n *Notifier) Environ() []string {
	if n == nil {
		return nil
	}
	return slices.Clone(n.environ)
}

// Send sends all states in one message, so that they take effect together. It does
// not wait: when the manager's queue is full, the message is lost and the error is
// EAGAIN. After Close the error is os.ErrClosed.
func (n *Notifier) Send(states ...State) error {
	if n == nil || n.sock == nil || len(states) == 0 {
		return nil
	}
	lines := make([]string, len(states))
	for i, s := range states {
		lines[i] = string(s)
	}
	return n.send(strings.Join(lines, "\n"))
}

// send sends one message, and with it descriptors. There must be a socket.
func (n *Notifier) send(message string, fds ...int) error {
	if len(message) > maxMessage {
		return fmt.Errorf("notify: message of %d bytes, of which the manager reads at most %d", len(message), maxMessage)
	}
	if err := n.sock.send([]byte(message), fds); err != nil {
		return fmt.Errorf("notify: send to %s: %w", n.sock.address, err)
	}
	return nil
}

// Close closes the socket. Closing again, or closing a Notifier that does nothing,
// is not an error.
func (n *Notifier) Close() error {
	if n == nil || n.sock == nil {
		return nil
	}
	if err := n.sock.close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("notify: close: %w", err)
	}
	return nil
}

func (n *Notifier) takeVariable(key string) string {
	value, ok := os.LookupEnv(key)
	if ok {
		n.environ = append(n.environ, key+"="+value)
	}
	os.Unsetenv(key) // fails only for a malformed key
	return value
}

// checkAddress says why address is none that this package can send to.
func checkAddress(address string) error {
	switch {
	case strings.HasPrefix(address, "vsock"):
		return fmt.Errorf("notify: NOTIFY_SOCKET=%q: vsock addresses: %w", address, errors.ErrUnsupported)
	case address[0] != '/' && address[0] != '@':
		return fmt.Errorf("notify: NOTIFY_SOCKET=%q: want an absolute path or an @abstract name: %w", address, errors.ErrUnsupported)
	}
	return nil
}

// parseWatchdog reads WATCHDOG_USEC for process pid. It is 0 when the manager does
// not watch, or watches another process.
func parseWatchdog(usec, forPID string, pid int) (time.Duration, error) {
	if usec == "" {
		return 0, nil
	}
	if forPID != "" {
		other, err := strconv.ParseUint(forPID, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("notify: WATCHDOG_PID=%q: want the id of a process", forPID)
		}
		if int(other) != pid {
			return 0, nil
		}
	}
	const most = uint64(1<<63-1) / uint64(time.Microsecond)
	n, err := strconv.ParseUint(usec, 10, 64)
	if err != nil || n == 0 || n > most {
		return 0, fmt.Errorf("notify: WATCHDOG_USEC=%q: want a number of microseconds from 1 to %d", usec, most)
	}
	return time.Duration(n) * time.Microsecond, nil
}
