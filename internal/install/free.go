package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/units"
)

// free says which of the plan's new addresses somebody else has.
func (m *Machine) free(ctx context.Context, p *Plan, have *present) error {
	old, _ := have.app() // an unreadable record has no addresses
	own := make(map[string]bool)
	for _, l := range old.Listeners {
		own[socketOf(l)] = true
	}
	if p.active && len(have.sockets) == 0 {
		return nil // the service has opened them itself, and will be stopped
	}
	var errs []error
	for _, l := range p.App.Listeners {
		if !own[socketOf(l)] {
			errs = append(errs, m.taken(ctx, l))
		}
	}
	return errors.Join(errs...)
}

// socketOf is l's address, whoever serves it.
func socketOf(l units.Listener) string {
	l.Name, l.Want = "", nil
	return l.String()
}

// taken says who listens where l is to, by trying it. A socket unit would fail for
// a port; a path the manager would take from whoever has it.
func (m *Machine) taken(ctx context.Context, l units.Listener) error {
	return taken(l, func() string { return m.holder(ctx, l) })
}

// taken is Machine.taken with what says " by whom" a port is taken.
func taken(l units.Listener, holder func() string) error {
	switch {
	case l.Kind == settings.KindTCP, l.Kind == settings.KindUDP:
		return takenPort(l, holder)
	case l.Kind == settings.KindUnix && strings.HasPrefix(l.Path, "/"):
		return takenPath(l.Path)
	}
	return nil
}

func takenPort(l units.Listener, holder func() string) error {
	network, address := string(l.Kind), ":"+strconv.Itoa(int(l.Port))
	if l.IP.IsValid() {
		family := "4"
		if l.IP.Is6() && !l.IP.Is4In6() {
			family = "6"
		}
		network, address = network+family, netip.AddrPortFrom(l.IP.Unmap(), l.Port).String()
	}
	err := bindFor(network, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("--listen %s: the port is taken%s", l, holder())
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("--listen %s: ports below the system's limit need root: use a higher one, or the system's manager (sudo rondo install, without --user)", l)
	}
	return nil // an address that the machine has not got yet, which FreeBind= is for
}

// bindFor binds an address for a moment.
func bindFor(network, address string) error {
	if strings.HasPrefix(network, "udp") {
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	return listener.Close()
}

// portHolder is " by whom" l's port is taken, if that is known.
func portHolder(l units.Listener) string {
	if who := sys.PortHolder(string(l.Kind), int(l.Port)); who != "" {
		return " by " + who
	}
	return ""
}

// holder is portHolder, but of the manager the unit.
func (m *Machine) holder(ctx context.Context, l units.Listener) string {
	kind, port := l.Kind, int(l.Port)
	by := portHolder(l)
	if by == "" {
		return ""
	}
	unit, err := m.Manager.UnitOf(ctx, sys.PortHolderPID(string(kind), port))
	if err == nil && unit == managers && kind == settings.KindTCP {
		if socket := m.socketOn(ctx, port); socket.Name != "" {
			return " by " + socket.Name + ", which is of " + strings.Join(socket.Triggers, ", ")
		}
	}
	return by
}

// managers is the unit that the manager's own process is of.
const managers = "init.scope"

func takenPath(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing there, or nothing that we may see
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("--listen unix:%s: the path is there and is no socket: remove it, or choose another", path)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil // left behind
	}
	conn.Close()
	return fmt.Errorf("--listen unix:%s: another process listens there", path)
}

// unopened says why the manager could not open l, by opening it, or nil if that is
// not known. What is made for it goes again.
func (m *Machine) unopened(ctx context.Context, l units.Listener) error {
	if err := m.taken(ctx, l); err != nil {
		return err
	}
	mayAsManager := m.user() || os.Geteuid() == 0
	if l.Kind != settings.KindUnix || !strings.HasPrefix(l.Path, "/") || !mayAsManager {
		return nil
	}
	if _, err := os.Lstat(l.Path); err == nil {
		return nil // left behind, which is the manager's to replace
	}
	made, err := makeDirectories(filepath.Dir(l.Path), 0o755)
	if err == nil {
		err = tryPath(l.Path)
	}
	for _, dir := range slices.Backward(made) {
		removeIfEmpty(dir)
	}
	if err != nil {
		return fmt.Errorf("--listen %s: %w: choose a path where sockets can be", l, err)
	}
	return nil
}

func tryPath(path string) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	return listener.Close()
}
