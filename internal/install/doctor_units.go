package install

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/systemd"
	"github.com/rondokit/rondo/units"
)

// passed are the sockets as the manager has them, with what drop-ins add.
func (e *examination) passed() []Socket {
	var list []Socket
	for _, f := range e.have.sockets {
		unit := e.units[filepath.Base(f.path)]
		v6only := f.key("BindIPv6Only") == "ipv6-only"
		for _, l := range unit.Listen {
			s := Socket{Name: unit.FDName, Kind: settings.KindTCP}
			if l.Kind == "Datagram" {
				s.Kind = settings.KindUDP
			}
			if at, err := parseAddress(l.Address); err == nil {
				s.IP, s.Port = at.Addr(), at.Port()
				s.V6Only = v6only && s.IP.Is6()
			} else {
				s.Kind, s.Path = settings.KindUnix, l.Address
			}
			list = append(list, s)
		}
	}
	return list
}

// parseAddress reads address and port as systemd writes them: [fe80::1]:80%eth0.
func parseAddress(text string) (netip.AddrPort, error) {
	text, zone, _ := strings.Cut(text, "%")
	at, err := netip.ParseAddrPort(text)
	return netip.AddrPortFrom(at.Addr().WithZone(zone), at.Port()), err
}

// sockets are the units that should listen.
func (e *examination) sockets() {
	for i, f := range e.have.sockets {
		name := filepath.Base(f.path)
		u := e.units[name]
		start := e.systemctl("start", name)
		if e.loaded(u); u.Load != "loaded" {
			continue
		}
		switch {
		case u.Active == "failed":
			e.wrong(e.systemctl("restart", name), "%s failed: %s", name, e.failure(u, e.app))
		case inactive(u) && u.FileState == "enabled":
			e.wrong(start, "%s is enabled and does not listen", name)
		case inactive(u):
			e.wrong(e.systemctl("enable --now", name), "%s neither listens nor is enabled to", name)
		case u.FileState == "disabled" && i == 0:
			e.wrong(e.systemctl("enable", name), "%s listens, and will not after a reboot: it is not enabled", name)
		}
	}
}

func inactive(u systemd.Unit) bool { return u.Active == "inactive" || u.Active == "" }

// loaded says what keeps the manager from having the unit as the files have it.
func (e *examination) loaded(u systemd.Unit) {
	reload := e.systemctl("daemon-reload")
	switch {
	case u.Load == "masked":
		e.wrong(e.systemctl("unmask", u.Name), "%s is masked", u.Name)
	case u.Load == "not-found":
		e.wrong(reload, "%s is not known to the manager", u.Name)
	case u.Load != "loaded":
		e.wrong(e.Scope.Systemctl("status", u.Name), "%s cannot be used (%s): %s", u.Name, u.Load, u.LoadError)
	case u.Fragment != e.Paths.unit(u.Name):
		e.wrong(e.Scope.Systemctl("cat", u.Name), "%s is taken from %s, and not from %s", u.Name, u.Fragment, e.Paths.unit(u.Name))
	case u.NeedsReload:
		e.wrong(reload, "the files of %s changed since the manager read them", u.Name)
	}
}

// failure is why a unit failed, in words.
func (m *Machine) failure(u systemd.Unit, app units.App) string {
	switch u.Result {
	case "resources":
		for _, l := range app.Listeners {
			if filepath.Ext(u.Name) != ".socket" {
				break
			}
			if err := m.unopened(l); err != nil {
				return strings.TrimPrefix(err.Error(), "--listen ")
			}
		}
		return "it could not open what it listens on: see " + m.journal(u.Name)
	case "trigger-limit-hit":
		return "connections started the service too often, by a limit that is not rondo's (trigger-limit-hit)"
	case "service-start-limit-hit", "start-limit-hit":
		return fmt.Sprintf("it was started too often, by a limit that is not rondo's (%s)", u.Result)
	}
	if u.Status != "" {
		return fmt.Sprintf("%s; it said last: %s", u.Result, u.Status)
	}
	return u.Result
}

// startsIn is how long a start is no fault: most programs take less.
const startsIn = 10 * time.Second

// service is the master.
func (e *examination) service(ctx context.Context) {
	name := e.name + ".service"
	u := e.units[name]
	if e.loaded(u); u.Load != "loaded" {
		return
	}
	switch {
	case u.Active == "failed":
		e.wrong(e.journal(name), "%s failed: %s", name, e.failure(u, e.app))
	case len(e.have.sockets) == 0 && inactive(u):
		e.wrong(e.systemctl("start", name), "%s does not run, and no socket starts it", name)
	case len(e.have.sockets) == 0 && u.FileState == "disabled":
		e.wrong(e.systemctl("enable", name), "%s runs, and will not after a reboot: it is not enabled", name)
	case u.Active == "activating" && u.Restarts == 0 && time.Since(u.Since) < startsIn:
		e.fact("%s is starting: %s", name, u.Status)
	case u.Active == "activating":
		e.wrong(e.journal(name), "%s does not get ready: %s", name, u.Status)
	}
	if u.Active == "active" {
		e.master(ctx, u)
	}
}
