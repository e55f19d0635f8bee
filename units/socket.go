package units

import (
	"fmt"
	"slices"

	"github.com/rondokit/rondo/internal/settings"
)

// A group is the listeners of one socket unit: they share its name and options.
// An option that none of them has to do with is unset.
type group struct {
	unit      string
	name      string // FileDescriptorName
	listeners []Listener
	file      *fileOptions // of sockets with a path
	backlog   int          // of streams; 0 is unset
	ipv6      string       // of those on any IPv6 address
}

type fileOptions struct {
	mode        uint32
	user, group string
}

// sockets distributes a's listeners over socket units. The first listener's is
// NAME.socket, whatever it is called: that is the unit people start.
func (a App) sockets() []group {
	var groups []group
	for _, l := range a.Listeners {
		if l.Kind == settings.KindFD {
			continue // a mapping of another's socket
		}
		alone := newGroup(l)
		i := slices.IndexFunc(groups, func(g group) bool { return g.fits(alone) })
		if i >= 0 {
			groups[i].join(alone)
			continue
		}
		alone.unit = a.socketName(groups, l.Name)
		groups = append(groups, alone)
	}
	return groups
}

const (
	defaultBacklog = 4096 // the kernel's own limit (net.core.somaxconn) since Linux 5.4
	defaultMode    = 0o666
	maxUnitName    = 255
)

func newGroup(l Listener) group {
	g := group{name: l.Name, listeners: []Listener{l}}
	if l.hasPath() {
		setDefault(&l.Mode, defaultMode)
		g.file = &fileOptions{uint32(l.Mode), l.User, l.Group}
	}
	if l.Kind != settings.KindUDP {
		setDefault(&l.Backlog, defaultBacklog)
		g.backlog = l.Backlog
	}
	if l.anyIPv6() {
		g.ipv6 = "both"
		if l.IPv6Only {
			g.ipv6 = "ipv6-only"
		}
	}
	return g
}

// fits says whether one unit can be both g and other.
func (g group) fits(other group) bool {
	return g.name == other.name &&
		(g.file == nil || other.file == nil || *g.file == *other.file) &&
		(g.backlog == 0 || other.backlog == 0 || g.backlog == other.backlog) &&
		(g.ipv6 == "" || other.ipv6 == "" || g.ipv6 == other.ipv6)
}

func (g *group) join(other group) {
	g.listeners = append(g.listeners, other.listeners...)
	if g.file == nil {
		g.file = other.file
	}
	setDefault(&g.backlog, other.backlog)
	setDefault(&g.ipv6, other.ipv6)
}

// socketName is the unit of the next group. A listener's name is never all
// digits, so the numbers of those that have none are free.
func (a App) socketName(groups []group, name string) string {
	if len(groups) == 0 {
		return a.Name + ".socket"
	}
	unit := a.Name + "-" + name + ".socket"
	taken := slices.ContainsFunc(groups, func(g group) bool { return g.unit == unit })
	if name == "" || taken || len(unit) > maxUnitName {
		unit = fmt.Sprintf("%s-%d.socket", a.Name, len(groups)+1)
	}
	return unit
}

// unitNames are the units of groups.
func unitNames(groups []group) []string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.unit
	}
	return names
}

// socketText is the unit of groups[i], without its first line.
func (a App) socketText(groups []group, i int) string {
	g := groups[i]
	var t text
	t.comment(fmt.Sprintf("The sockets of %s. They stay open while it restarts: connections wait in them.", a.service()))
	t.comment(fmt.Sprintf("rondo install may write this file anew: change it by %s edit %s.", a.systemctl(), g.unit))
	t.comment(fmt.Sprintf("Addresses that change are opened by %s restart %s, and not before.", a.systemctl(), g.unit))
	t.section("Unit")
	description := a.Name + " sockets (rondo)"
	if i > 0 && g.name != "" {
		description = a.Name + " sockets named " + g.name + " (rondo)"
	}
	t.set("Description", description)
	others := slices.Delete(unitNames(groups), i, i+1)
	switch {
	case i > 0:
		t.set("PartOf", groups[0].unit)
	case len(others) > 0:
		t.comment("One unit has one FileDescriptorName: the others start and stop with this one.")
		t.set("Requires", join(others))
		t.set("After", join(others))
	}
	t.set("StartLimitIntervalSec", "0")
	a.socketOptions(&t, g)
	t.section("Install")
	t.set("WantedBy", "sockets.target")
	if i == 0 && len(others) > 0 {
		t.set("Also", join(others))
	}
	return t.b.String()
}

func (a App) socketOptions(t *text, g group) {
	t.section("Socket")
	for _, l := range g.listeners {
		key := "ListenStream"
		if l.Kind == settings.KindUDP {
			key = "ListenDatagram"
		}
		t.set(key, whole(l.where()))
	}
	if g.name != "" {
		t.set("FileDescriptorName", g.name)
	}
	t.set("Service", a.service())
	t.set("Accept", "no")
	if g.backlog > 0 {
		t.set("Backlog", fmt.Sprint(g.backlog))
	}
	if g.ipv6 != "" {
		t.set("BindIPv6Only", g.ipv6)
	}
	if slices.ContainsFunc(g.listeners, Listener.distant) {
		t.comment("Sockets are opened before the network is up.")
		t.set("FreeBind", "yes")
	}
	if g.file != nil {
		t.set("SocketMode", fmt.Sprintf("%04o", g.file.mode))
		if g.file.user != "" {
			t.set("SocketUser", g.file.user)
		}
		if g.file.group != "" {
			t.set("SocketGroup", g.file.group)
		}
		t.set("RemoveOnStop", "yes")
	}
	t.comment("A service that fails at every start must not take the socket with it.")
	t.set("TriggerLimitIntervalSec", "0")
	if a.Systemd >= pollLimits {
		t.comment("Meanwhile it is polled more seldom.")
		t.set("PollLimitIntervalSec", "2s")
		t.set("PollLimitBurst", "15")
	}
}
