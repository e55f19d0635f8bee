//go:build linux

package machine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"

	"github.com/rondokit/rondo/internal/ledger"
	"golang.org/x/sys/unix"
)

// Dial connects to an address in the machine as if from there: its own loopback,
// its own unix sockets. It has the signature of [net.Dialer.DialContext]; the host
// must be an IP address, as there is nobody to ask for names. The connection then
// is like any. Goroutines may call it at the same time, and while m reboots.
func (m *Machine) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	if network == "unix" || network == "unixgram" {
		err = m.inside(unix.CLONE_NEWNET|unix.CLONE_NEWNS, func() (err error) { // the path is there too
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("machine: dial: %w", err)
	}
	b := m.boot.Load()
	if b == nil {
		return nil, errOff
	}
	done := make(chan error, 1)
	go func() { // ends with the dial
		v, err := visit(b.leader)
		if err != nil {
			done <- err
			return
		}
		// A socket belongs where it is made, and may be connected from anywhere. So the
		// thread is there for this only, and no thread is made for each connection: a
		// load makes thousands.
		d := net.Dialer{Control: func(string, string, syscall.RawConn) error { return v.leave() }}
		conn, err = d.DialContext(ctx, network, address)
		v.leave() // if it made no socket
		done <- err
	}()
	err = <-done
	return conn, err
}

// visitor is a thread in the network of a machine.
type visitor struct{ home int }

// visit locks the goroutine to its thread and takes that to a network. The
// goroutine must leave; if it cannot, it must end, and the thread with it. It is
// there so briefly that it may be the main thread, of which /proc/self tells.
func visit(pidfd int) (*visitor, error) {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.Setns(pidfd, unix.CLONE_NEWNET); err == nil {
			return &visitor{home}, nil
		}
		unix.Close(home)
	}
	runtime.UnlockOSThread()
	return nil, fmt.Errorf("machine: enter its network: %w", err)
}

// leave takes the thread back. A second call does nothing.
func (v *visitor) leave() error {
	if v.home < 0 {
		return nil
	}
	err := unix.Setns(v.home, unix.CLONE_NEWNET)
	unix.Close(v.home)
	if v.home = -1; err != nil {
		return fmt.Errorf("machine: leave its network: %w", err)
	}
	runtime.UnlockOSThread()
	return nil
}

// Overflows reads the counters of the machine's network, for a ledger that Dials.
func (m *Machine) Overflows() (now ledger.Overflow, err error) {
	err = m.inside(unix.CLONE_NEWNET, func() (err error) {
		now, err = ledger.Overflows()
		return err
	})
	return now, err
}
