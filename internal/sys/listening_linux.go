//go:build !portable

package sys

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// listening reads the tables of the kernel, as in proc_net_tcp(5) and unix(7).
func listening() *Addresses {
	a := &Addresses{make(map[netip.AddrPort]bool), make(map[string]bool)}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil && !os.IsNotExist(err) { // as tcp6 without IPv6
			return nil
		}
		for line := range strings.Lines(string(text)) {
			col := strings.Fields(line)
			if len(col) < 10 || col[3] != "0A" { // TCP_LISTEN
				continue
			}
			if at, ok := tableAddress(col[1]); ok {
				a.tcp[plain(at)] = true
			}
		}
	}
	text, err := os.ReadFile("/proc/self/net/unix")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if row := unixRow.FindStringSubmatch(strings.TrimSuffix(line, "\n")); row != nil {
			a.unix[row[2]] = true
		}
	}
	return a
}

// unixRow is of a socket with __SO_ACCEPTCON: Num, RefCount, Protocol, Flags, Type, St, Inode, Path.
var unixRow = regexp.MustCompile(`^\S+: \S+ \S+ 00010000 \S+ \S+ +(\d+) (.*)$`)

// tableAddress reads words of 32 bits in the order of the machine, and a port.
func tableAddress(text string) (at netip.AddrPort, ok bool) {
	words, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(words)
	n, wrong := strconv.ParseUint(port, 16, 16)
	if err != nil || wrong != nil {
		return at, false
	}
	for i := 0; i+4 <= len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	ip, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip, uint16(n)), ok
}
