package units

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
)

func (a App) checkListeners() error {
	for i, l := range a.Listeners {
		if !slices.Contains(kinds, l.Kind) {
			return wrong("Listeners", "a kind %q: it is none of %q", l.Kind, kinds)
		}
		if err := a.checkListener(l); err != nil {
			return wrong("Listeners", "%s: %w", l, err)
		}
		for _, other := range a.Listeners[:i] {
			if l.overlaps(other) {
				return wrong("Listeners", "%s and %s are on the same address: the second cannot be opened", other, l)
			}
		}
	}
	if a.NoNetwork && len(a.Listeners) == 0 {
		return wrong("NoNetwork", "without listeners nobody could reach the app: add one")
	}
	return nil
}

var kinds = []settings.Kind{settings.KindTCP, settings.KindUDP, settings.KindUnix, settings.KindFD}

func (a App) checkListener(l Listener) error {
	if l.Kind == settings.KindFD {
		named := slices.ContainsFunc(a.Listeners, func(other Listener) bool { return other.Kind != settings.KindFD && other.Name == l.FD })
		if !named {
			return fmt.Errorf("no listener is named %s: write where it listens, as in %s@80=3000", l.FD, l.FD)
		}
		return nil
	}
	if err := checkAddress(l); err != nil {
		return err
	}
	switch {
	case !l.hasPath() && (l.Mode != 0 || l.User != "" || l.Group != ""):
		return errors.New("only a unix socket with a path has a mode, user and group")
	case l.Mode&^0o777 != 0:
		return wrong("Mode", "%#o is more than permissions", uint32(l.Mode))
	case a.UserManager && (l.User != "" || l.Group != ""):
		return errors.New("a user's manager cannot give a socket away: leave user and group empty")
	case l.IPv6Only && !l.anyIPv6():
		return errors.New("only [::] can leave IPv4 to others")
	case l.Backlog < 0:
		return wrong("Backlog", "%d is less than 0", l.Backlog)
	}
	return first([]error{checkAccount("User", l.User), checkAccount("Group", l.Group)})
}

// checkAddress checks what is in the unit's lines, also of a Listen that did not
// come from ParseListen.
func checkAddress(l Listener) error {
	path := l.Path
	switch {
	case l.Name != "" && (strings.Trim(l.Name, nameBytes) != "" || strings.Trim(l.Name, digits) == "" || len(l.Name) > 255):
		return fmt.Errorf("%q is not a listener's name", l.Name)
	case l.Kind != settings.KindUnix && l.Port == 0:
		return errors.New("no port")
	case l.IP.Zone() != "" || l.IP.Unmap().Is6() && l.IP.IsLinkLocalUnicast():
		return errors.New("a link-local address is of one interface, for which systemd looks when it reads the unit, at boot too early: listen on [::] or another address")
	case l.Kind != settings.KindUnix:
		return nil
	case len(path) < 2 || path[0] != '/' && path[0] != '@':
		return fmt.Errorf("%q is not an absolute path", path)
	case strings.HasSuffix(path, " "):
		return errors.New("systemd strips the space at the end of the path")
	case strings.ContainsFunc(path, forgotten):
		return errors.New("systemd loses a socket at its next daemon-reload whose path has other than ASCII, a quote or a backslash: give it another")
	}
	return nil
}

const (
	digits    = "0123456789"
	nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-." + digits
)

// forgotten are the characters that systemd escapes when it writes down its
// sockets, and does not unescape when it looks for them: on 252 and 257 the
// socket is closed then, and its unit stays active.
func forgotten(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`\'"`, r) }

// hasPath says whether l has a file that a mode and an owner apply to.
func (l Listener) hasPath() bool {
	return l.Kind == settings.KindUnix && l.Path != "" && l.Path[0] == '/'
}

func (l Listener) onInternet() bool { return l.Kind == settings.KindTCP || l.Kind == settings.KindUDP }

// anyIPv6 says whether l is on every IPv6 address, as a port alone is.
func (l Listener) anyIPv6() bool {
	return l.onInternet() && (!l.IP.IsValid() || l.IP == netip.IPv6Unspecified())
}

// families says which addresses reach l.
func (l Listener) families() (four, six bool) {
	switch {
	case !l.onInternet():
		return false, false
	case l.anyIPv6():
		return !l.IPv6Only, true
	default:
		return l.IP.Unmap().Is4(), !l.IP.Unmap().Is4()
	}
}

// overlaps says whether the kernel refuses to open l beside other.
func (l Listener) overlaps(other Listener) bool {
	if l.Kind != other.Kind || l.Kind == settings.KindFD {
		return false
	}
	if l.Kind == settings.KindUnix {
		return l.Path == other.Path
	}
	four, six := l.families()
	otherFour, otherSix := other.families()
	wide := !l.IP.IsValid() || l.IP.IsUnspecified() || !other.IP.IsValid() || other.IP.IsUnspecified()
	return l.Port == other.Port && (four && otherFour || six && otherSix) && (wide || l.IP.Unmap() == other.IP.Unmap())
}

// distant says whether l is on an address that an interface gets only when the
// network is up.
func (l Listener) distant() bool {
	return l.onInternet() && l.IP.IsValid() && !l.IP.IsUnspecified() && !l.IP.IsLoopback()
}

// where is l as systemd writes it.
func (l Listener) where() string {
	switch {
	case l.Kind == settings.KindUnix:
		return l.Path
	case !l.IP.IsValid():
		return fmt.Sprint(l.Port)
	default:
		return netip.AddrPortFrom(l.IP.Unmap(), l.Port).String()
	}
}
