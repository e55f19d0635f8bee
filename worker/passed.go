package worker

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/rondokit/rondo/activation"
)

// findPassed claims the passed socket of one of kinds that network and address
// mean, nil when there is none. The rules are the master's: an address is served by
// exactly that address; any address, by every socket on the port. A name must have
// been passed.
func (w *Worker) findPassed(ctx context.Context, network, address string, kinds ...activation.Kind) (*passed, error) {
	w.mu.Lock()
	none := len(w.passed) == 0
	w.mu.Unlock()
	if none && network != "activation" {
		return nil, nil // nothing to resolve the address for
	}
	fits, err := wanted(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var free, all []*passed
	for _, p := range w.passed {
		if slices.Contains(kinds, p.Kind) && fits(p) {
			all = append(all, p)
			if !p.used {
				free = append(free, p)
			}
		}
	}
	switch {
	case network == "activation" && len(free) == 0:
		return nil, fmt.Errorf("no such socket was passed, or all are open; passed are %s", names(w.passed))
	case network != "activation" && len(all) > 1:
		return nil, fmt.Errorf("%s fits several passed sockets: %s", address, names(all))
	case len(free) == 0:
		return nil, nil // if one fits and is open, the kernel says EADDRINUSE
	}
	free[0].used = true
	return free[0], nil
}

// wanted tells what a passed socket must be.
func wanted(ctx context.Context, network, address string) (fits func(*passed) bool, err error) {
	switch network {
	case "activation":
		return func(p *passed) bool { return p.Name == address }, nil
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
		_, want, err := askInternet(ctx, network, address)
		if err != nil {
			return nil, err
		}
		kind, family := activation.Kind(network[:3]), network[3:]
		return func(p *passed) bool { return p.Kind == kind && serves(p, family, want) }, nil
	case "unix", "unixgram":
		if path, err := absolute(address); err == nil {
			return func(p *passed) bool { return string(p.Kind) == network && p.Addr.String() == path }, nil
		}
	}
	return func(*passed) bool { return false }, nil // package net says what is wrong with it
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
	if have.Port != want.Port || want.Port == 0 {
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
