package install

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
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
func (e *examination) sockets(ctx context.Context) {
	for i, f := range e.have.sockets {
		name := filepath.Base(f.path)
		u := e.units[name]
		if e.loaded(u); u.Load != "loaded" {
			continue
		}
		start, enable := e.systemctl("start", name), e.systemctl("enable --now", name)
		if running(e.units[e.name+".service"]) { // beside which the manager starts no socket
			start = e.systemctl("restart", name)
			enable = e.systemctl("enable", name) + " && " + start
		}
		switch {
		case u.Active == "failed":
			e.wrong(e.clearing(ctx, u, e.systemctl("restart", name)), "%s failed: %s%s", name, e.failure(ctx, u, e.app), e.kept(ctx, u))
		case inactive(u) && u.FileState == "enabled":
			e.wrong(e.clearing(ctx, u, start), "%s is enabled and does not listen%s", name, e.kept(ctx, u))
		case inactive(u):
			e.wrong(e.clearing(ctx, u, enable), "%s neither listens nor is enabled to%s", name, e.kept(ctx, u))
		case u.FileState == "disabled" && i == 0:
			e.wrong(e.systemctl("enable", name), "%s listens, and will not after a reboot: it is not enabled", name)
		}
		if closed := e.Closed(u); u.Active == "active" && len(closed) > 0 {
			e.wrong(e.systemctl("restart", name), "%s is active and does not listen on %s: its addresses changed since it was started", name, strings.Join(closed, ", "))
		}
	}
}

func inactive(u systemd.Unit) bool { return u.Active == "inactive" || u.Active == "" }

// loaded says what keeps the manager from having the unit as the files have it.
func (e *examination) loaded(u systemd.Unit) {
	switch {
	case u.Load == "masked":
		e.wrong(e.systemctl("unmask", u.Name), "%s is masked", u.Name)
	case u.Load == "not-found":
		e.unread = append(e.unread, u.Name+" is not known to the manager")
	case u.Load != "loaded":
		e.wrong(e.Scope.Systemctl("status", u.Name), "%s cannot be used (%s): %s", u.Name, u.Load, u.LoadError)
	case u.Fragment != e.Paths.unit(u.Name):
		e.wrong(e.Scope.Systemctl("cat", u.Name), "%s is taken from %s, and not from %s", u.Name, u.Fragment, e.Paths.unit(u.Name))
	case u.NeedsReload:
		e.unread = append(e.unread, "the files of "+u.Name+" changed since the manager read them")
	}
}

// failure is why a unit failed, in words.
func (m *Machine) failure(ctx context.Context, u systemd.Unit, app units.App) string {
	switch u.Result {
	case "resources":
		if _, err := m.blocked(ctx, u, app); err != nil {
			return err.Error()
		}
		return "it could not open what it listens on: see " + m.journal(u.Name)
	case "trigger-limit-hit":
		return "connections started the service too often, by a limit that is not rondo's (trigger-limit-hit)" + seeDropIns(u)
	case "service-start-limit-hit", "start-limit-hit":
		return fmt.Sprintf("it was started too often, by a limit that is not rondo's (%s)", u.Result) + seeDropIns(u)
	}
	if u.Status != "" {
		return fmt.Sprintf("%s; it said last: %s", u.Result, u.Status)
	}
	return u.Result
}

// seeDropIns names the drop-ins of a unit.
func seeDropIns(u systemd.Unit) string {
	if len(u.DropIns) == 0 {
		return ""
	}
	return ": see " + strings.Join(u.DropIns, ", ")
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
	again := strings.HasPrefix(u.Sub, "auto-restart") || u.Sub == "failed-before-auto-restart" ||
		u.Active == "deactivating" && u.Result != "success"
	switch {
	case u.Active == "failed" && !again:
		e.wrong(e.journal(name)+" && "+e.systemctl("restart", name), "%s failed: %s", name, e.failure(ctx, u, e.app))
	case len(e.have.sockets) == 0 && inactive(u):
		e.wrong(e.systemctl("start", name), "%s does not run, and no socket starts it", name)
	case len(e.have.sockets) == 0 && u.FileState == "disabled":
		e.wrong(e.systemctl("enable", name), "%s runs, and will not after a reboot: it is not enabled", name)
	case again, u.Active == "activating" && (u.Restarts > 0 || time.Since(u.Since) >= startsIn):
		e.unready(ctx, u, again)
	case u.Active == "activating":
		e.fact("%s is starting: %s", name, u.Status)
	}
	e.store(u)
	switch {
	case u.Active == "active":
		e.master(ctx, u)
	case u.Active == "inactive", u.Active == "failed" && !again:
		e.leftovers(u)
	}
}

// unasked is in the words of a master whose program listens on nothing that was passed.
var unasked = regexp.MustCompile(`could not listen on ([^ ]+): (the init system passed no socket for it)`)

// unready is about a service that is starting for long, or again and again. Between
// two starts the manager knows little, and early in one the master does.
func (e *examination) unready(ctx context.Context, u systemd.Unit, again bool) {
	why, restarts, invocation := u.Status, "", u.Invocation
	if !again { // it starts, and the start before has had others
		invocation = ""
	}
	if again || u.Restarts > 0 {
		if last := e.LastWords(ctx, u.Name, invocation, u.ActiveSince); last != "" {
			why = last
		}
	}
	if why == "" {
		why = u.Result + ", as systemd says"
	}
	if u.Restarts > 0 {
		restarts = fmt.Sprintf(" (restarts: %d)", u.Restarts)
	}
	if found := unasked.FindStringSubmatch(why); found != nil {
		e.wrong(e.editSockets(), "%s does not get ready%s: its program listens on %s, which no listener of %s is mapped to: they are %s",
			u.Name, restarts, found[1], e.app.Config, e.listeners())
		return
	}
	e.wrong(e.journal(u.Name), "%s does not get ready%s: %s", u.Name, restarts, why)
}

// listeners are those of the app, as --listen has them.
func (e *examination) listeners() string {
	texts := make([]string, len(e.app.Listeners))
	for i, l := range e.app.Listeners {
		texts[i] = l.String()
	}
	return strings.Join(texts, ", ")
}
