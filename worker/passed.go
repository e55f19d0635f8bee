package worker

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/rondokit/rondo/activation"
)

// findPassed claims the passed socket that network and address mean, nil when
// there is none. The rules are the master's: an address is served by exactly that
// address; any address, by every socket on the port. A name must have been passed.
func (w *Worker) findPassed(ctx context.Context, network, address string) (*passed, error) {
	kind, fits, err := w.wanted(ctx, network, address)
	if err != nil || fits == nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var found, all []*passed
	for _, p := range w.passed {
		if kind[p.Kind] && fits(p) {
			all = append(all, p)
			if !p.used {
				found = append(found, p)
			}
		}
	}
	switch {
	case network == "activation" && len(found) == 0:
		return nil, fmt.Errorf("no such socket was passed, or all are open; passed are %s", names(w.passed))
	case len(found) == 0:
		return nil, nil // the kernel says EADDRINUSE if one is open already
	case network != "activation" && len(all) > 1:
		return nil, fmt.Errorf("%s fits several passed sockets: %s", address, names(all))
	}
	found[0].used = true
	return found[0], nil
}

type kinds map[activation.Kind]bool

// wanted gives what findPassed looks for; fits nil means nothing can fit.
func (w *Worker) wanted(ctx context.Context, network, address string) (kinds, func(*passed) bool, error) {
	if network == "activation" {
		return kinds{activation.TCP: true, activation.Unix: true},
			func(p *passed) bool { return p.Name == address }, nil
	}
	if len(w.passed) == 0 {
		return nil, nil, nil
	}
	switch network {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
		_, want, err := askInternet(ctx, network, address)
		if err != nil || want.Port == 0 {
			return nil, nil, err
		}
		return kinds{activation.Kind(network[:3]): true},
			func(p *passed) bool { return serves(p, network[3:], want) }, nil
	case "unix", "unixgram":
		path, err := absolute(address)
		return kinds{activation.Kind(network): true},
			func(p *passed) bool { return p.Addr.String() == path }, err
	}
	return nil, nil, nil
}

// serves tells whether p is what a program means by want, in a family ("" for both).
func serves(p *passed, family string, want *net.TCPAddr) bool {
	var have net.TCPAddr
	switch a := p.Addr.(type) {
	case *net.TCPAddr:
		have = *a
	case *net.UDPAddr:
		have = net.TCPAddr(*a)
	}
	if have.Port != want.Port {
		return false
	}
	is4 := have.IP.To4() != nil
	if want.IP != nil && !want.IP.IsUnspecified() {
		return have.IP.Equal(want.IP) && have.Zone == want.Zone
	}
	switch family {
	case "4":
		return is4 || have.IP.IsUnspecified() && !p.V6Only
	case "6":
		return !is4
	}
	return true
}

// names lists sockets for an error.
func names(sockets []*passed) string {
	if len(sockets) == 0 {
		return "none"
	}
	var list []string
	for _, p := range sockets {
		list = append(list, fmt.Sprintf("%s (%s %s)", p.Name, p.Kind, p.Addr))
	}
	return strings.Join(list, ", ")
}
