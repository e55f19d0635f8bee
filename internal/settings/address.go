package settings

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// parseAddress reads PORT, IP:PORT or [IP6]:PORT; like is an example for the
// error. The Addr is zero for PORT alone.
func parseAddress(s, like string) (netip.Addr, uint16, *problem) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		port, p := parsePort(s, like)
		return netip.Addr{}, port, p
	}
	host := s[:colon]
	ip, p := parseIP(host, like)
	if p != nil {
		return netip.Addr{}, 0, p
	}
	port, p := parsePort(s[colon+1:], like)
	return ip, port, shift(p, colon+1)
}

func parseIP(host, like string) (netip.Addr, *problem) {
	bad := func(what string) (netip.Addr, *problem) {
		return netip.Addr{}, &problem{part: "IP", what: what, like: like}
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		var closed bool
		if inner, closed = strings.CutSuffix(inner, "]"); !closed {
			like = "[::1]:80"
			return bad("has \"[\" without \"]\"")
		}
	}
	ip, err := netip.ParseAddr(inner)
	switch {
	case host == "":
		return bad("is empty: leave out the \":\" for any address")
	case host == "*":
		return bad("is \"*\": leave it out for any address")
	case err != nil && !bracketed && strings.Contains(host, ":"):
		like = "[::1]:80"
		return bad("is IPv6 without brackets, or not an address")
	case err != nil:
		return bad(fmt.Sprintf("%q is not an address: names are not looked up", inner))
	case ip.Is6() && !bracketed:
		like = "[::1]:80"
		return bad("is IPv6 without brackets")
	case ip.Is4() && bracketed:
		return bad("is IPv4 in brackets")
	case strings.ContainsAny(ip.Zone(), "]=@[:/"):
		return bad(fmt.Sprintf("has the zone %q, which names no interface", ip.Zone()))
	}
	return ip, nil
}

func parsePort(s, like string) (uint16, *problem) {
	bad := func(what string) (uint16, *problem) {
		return 0, &problem{part: "PORT", what: what, like: like}
	}
	if s == "" {
		return bad("is empty")
	}
	if !digits(s) {
		return bad(fmt.Sprintf("%q is not a number", s))
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return bad(fmt.Sprintf("%s is not from 1 to 65535", s))
	}
	return uint16(n), nil
}
