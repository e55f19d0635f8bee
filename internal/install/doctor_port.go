package install

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/systemd"
	"github.com/rondokit/rondo/units"
)

// blocked gives a listener that a socket unit cannot open, and why; or no error, if
// nothing is in the way, or known to be.
func (m *Machine) blocked(ctx context.Context, u systemd.Unit, app units.App) (units.Listener, error) {
	if filepath.Ext(u.Name) != ".socket" {
		return units.Listener{}, nil
	}
	for _, l := range app.Listeners {
		if !opens(u, l) {
			continue
		}
		if err := m.unopened(ctx, l); err != nil {
			return l, errors.New(strings.TrimPrefix(err.Error(), "--listen "))
		}
	}
	return units.Listener{}, nil
}

// opens says whether l is of a socket unit.
func opens(u systemd.Unit, l units.Listener) bool {
	ip := l.IP
	if !ip.IsValid() {
		ip = netip.IPv6Unspecified()
	}
	return slices.ContainsFunc(u.Listen, func(has systemd.Listen) bool {
		if l.Kind == settings.KindUnix {
			return has.Address == l.Path
		}
		at, err := parseAddress(has.Address)
		return err == nil && at.Port() == l.Port && at.Addr() == ip && (has.Kind == "Datagram") == (l.Kind == settings.KindUDP)
	})
}

// inTheWay is blocked, but by others than the app's own service, which may have the
// sockets of a unit that was stopped under it.
func (e *examination) inTheWay(ctx context.Context, u systemd.Unit) (units.Listener, error) {
	l, err := e.blocked(ctx, u, e.app)
	if err == nil || l.Kind != settings.KindTCP {
		return l, err
	}
	if unit, _ := e.Manager.UnitOf(ctx, sys.PortHolderPID("tcp", int(l.Port))); unit == e.name+".service" {
		return units.Listener{}, nil
	}
	return l, err
}

// kept is what keeps a socket from listening, if that is known.
func (e *examination) kept(ctx context.Context, u systemd.Unit) string {
	if u.Result == "resources" { // which failure tells
		return ""
	}
	if _, err := e.inTheWay(ctx, u); err != nil {
		return ": " + err.Error()
	}
	return ""
}

// clearing is start, the command that has a socket unit listen, after one that has
// whoever is in the way leave.
func (e *examination) clearing(ctx context.Context, u systemd.Unit, start string) string {
	l, err := e.inTheWay(ctx, u)
	who := sys.PortHolder("tcp", int(l.Port))
	if err == nil || l.Kind != settings.KindTCP || who == "" {
		return start
	}
	leave := e.leave(ctx, int(l.Port), who)
	if leave == "" {
		return fmt.Sprintf("sudo ss --tcp --listening --numeric --processes 'sport = :%d'", l.Port)
	}
	return leave + " && " + start
}

// leave is the command that ends who listens on a port and waits for that, or
// nothing: no manager is to end for the socket of another unit.
func (e *examination) leave(ctx context.Context, port int, who string) string {
	pid := sys.PortHolderPID("tcp", port)
	if pid == 0 {
		return ""
	}
	unit, err := e.Manager.UnitOf(ctx, pid)
	switch {
	case err == nil && unit == managers:
		if socket := e.socketOn(ctx, port).Name; socket != "" {
			return e.systemctl("stop", socket)
		}
		return ""
	case err != nil || strings.HasPrefix(who, "systemd "):
		return ""
	case filepath.Ext(unit) == ".service" && !strings.HasPrefix(unit, "user@"):
		return e.systemctl("stop", unit)
	}
	return e.root(fmt.Sprintf("kill %d && tail --pid=%d -s 0.1 -f /dev/null", pid, pid))
}

// socketOn is the unit that listens on a port, or one without a name.
func (m *Machine) socketOn(ctx context.Context, port int) systemd.Unit {
	list, _ := m.Manager.Listening(ctx) // none is found, then
	for _, u := range list {
		for _, l := range u.Listen {
			if at, err := parseAddress(l.Address); err == nil && l.Kind == "Stream" && int(at.Port()) == port {
				return u
			}
		}
	}
	return systemd.Unit{}
}
