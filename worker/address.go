package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/rondokit/rondo/internal/wire"
)

// ask turns network and address into the query that Node would send for them,
// with names resolved here. The address is for errors, and for listeners that the
// master shows none for.
func (w *Worker) ask(ctx context.Context, network, address string) (*wire.Query, net.Addr, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
		q, addr, err := askInternet(ctx, network, address)
		if err != nil {
			return nil, nil, err // not a nil *net.TCPAddr in an interface
		}
		return q, addr, nil
	case "unix":
		path, err := absolute(address)
		if err != nil {
			return nil, nil, err
		}
		if path[0] == '@' {
			path = "\x00" + path[1:] // on the wire, an abstract name is as the kernel has it
		}
		q := &wire.Query{Address: path, Port: -1, Type: wire.Pipe, FD: -1}
		return q, &net.UnixAddr{Name: address, Net: "unix"}, nil
	case "activation":
		if !w.named {
			return nil, nil, fmt.Errorf("a socket by its name (%q) needs rondo as the master: %w", address, errors.ErrUnsupported)
		}
		return &wire.Query{Name: address, FD: -1}, &net.UnixAddr{Net: "unix"}, nil
	}
	return nil, nil, net.UnknownNetworkError(network)
}

// absolute gives the path of a unix socket as any process would name it. An abstract
// name ("@name", as package net writes it) is one already.
func absolute(address string) (string, error) {
	if address == "" {
		return "", &net.AddrError{Err: "missing path"}
	}
	if address[0] == '@' {
		return address, nil
	}
	return filepath.Abs(address)
}

// askInternet is ask for tcp, tcp4, tcp6; its address and port are also right for
// udp, udp4 and udp6.
func askInternet(ctx context.Context, network, address string) (*wire.Query, *net.TCPAddr, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, nil, err
	}
	family := network[len("tcp"):] // "", "4" or "6"
	ip, err := resolve(ctx, family, host)
	if err != nil {
		return nil, nil, err
	}
	q := &wire.Query{Port: port, FD: -1, Type: wire.IPv4}
	switch any := !ip.IsValid() || ip.IsUnspecified(); {
	case any && family == "": // also a literal 0.0.0.0 or ::, as net.Listen takes them
	case any && family == "6":
		q.Address, q.Type, q.Flags = "::", wire.IPv6, wire.FlagV6Only
	case any:
		q.Address = "0.0.0.0"
	case ip.Is4():
		q.Address = ip.String()
	default:
		q.Address, q.Type = ip.String(), wire.IPv6
	}
	addr := &net.TCPAddr{IP: ip.AsSlice(), Port: port, Zone: ip.Zone()}
	return q, addr, nil
}

// resolve gives the address of host, or the zero one for none. Of several it takes
// the first IPv4 one, as net.Listen does.
func resolve(ctx context.Context, family, host string) (netip.Addr, error) {
	if host == "" {
		return netip.Addr{}, nil
	}
	var found []netip.Addr
	if ip, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{ip}
	} else if found, err = net.DefaultResolver.LookupNetIP(ctx, "ip"+family, host); err != nil {
		return netip.Addr{}, err
	}
	var best netip.Addr
	for _, ip := range found {
		ip = ip.Unmap()
		fits := family == "" || ip.Is4() == (family == "4")
		if fits && (!best.IsValid() || ip.Is4() && !best.Is4()) {
			best = ip
		}
	}
	if !best.IsValid() {
		return best, &net.AddrError{Err: "no suitable address", Addr: host}
	}
	return best, nil
}
