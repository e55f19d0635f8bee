package settings

import (
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// maxUnixPath is the longest path that fits sun_path with its final zero on
// Linux; darwin's is four bytes shorter, and bind says so.
const maxUnixPath = 107

// ParseListen reads one LISTEN. The error says which part is wrong, at which
// column (in bytes, from 1), and gives an example that would be right.
//
// WANT follows the last "=", so a path with "=" in it needs a [[listen]] table.
func ParseListen(text string) (Listen, error) {
	var l Listen
	socket, want, mapped := text, "", false
	if i := strings.LastIndexByte(text, '='); i >= 0 {
		socket, want, mapped = text[:i], text[i+1:], true
	}
	name, named := "", false
	if i := strings.IndexByte(socket, '@'); i >= 0 && !strings.ContainsAny(socket[:i], ":/[") {
		name, socket, named = socket[:i], socket[i+1:], true
	}
	at := len(name) + 1 // the column of SOCKET
	if named {
		at++
		if p := checkListenName(name); p != nil {
			return Listen{}, p.in(text, 1)
		}
		l.Name = name
	}
	if p := l.setSocket(socket); p != nil {
		return Listen{}, p.in(text, at)
	}
	if mapped {
		if p := l.setWant(want); p != nil {
			return Listen{}, p.in(text, at+len(socket)+1)
		}
	}
	return l, nil
}

// String is l as ParseListen reads it.
func (l Listen) String() string {
	var b strings.Builder
	if l.Name != "" {
		b.WriteString(l.Name + "@")
	}
	switch l.Kind {
	case KindTCP:
		b.WriteString(hostPort(l.IP, l.Port))
	case KindUDP:
		b.WriteString("udp:" + hostPort(l.IP, l.Port))
	case KindUnix:
		b.WriteString("unix:" + l.Path)
	case KindFD:
		b.WriteString("fd:" + l.FD)
	default:
		panic(fmt.Sprintf("settings: a Listen of kind %q", l.Kind))
	}
	if l.Want != nil {
		b.WriteString("=" + l.Want.String())
	}
	return b.String()
}

// CheckWants refuses a TCP and a unix socket that are mapped to one address of the
// program, which then could listen on neither: it is told of one kind of address.
// Sockets of the same kind may share one.
func CheckWants(list []Listen) error {
	for i, l := range list {
		for _, other := range list[:i] {
			kinds := [2]Kind{other.Kind, l.Kind}
			mixed := kinds == [2]Kind{KindTCP, KindUnix} || kinds == [2]Kind{KindUnix, KindTCP}
			if mixed && l.Want != nil && other.Want != nil && l.Want.overlaps(*other.Want) {
				return fmt.Errorf("%q and %q are sockets of two kinds for one address of the program: map one of them to another, and have the program listen on both", other, l)
			}
		}
	}
	return nil
}

// overlaps says whether the program can ask for an address that both stand for.
func (w Want) overlaps(other Want) bool {
	switch {
	case w.Path != "" || other.Path != "":
		return w.Path == other.Path
	case w.Port != other.Port:
		return false
	case !w.IP.IsValid() || !other.IP.IsValid():
		return true
	}
	return w.IP.Unmap() == other.IP.Unmap() || w.IP.IsUnspecified() && other.IP.IsUnspecified()
}

// String is w as the WANT of a LISTEN.
func (w Want) String() string {
	if w.Path != "" {
		return w.Path
	}
	return hostPort(w.IP, w.Port)
}

func hostPort(ip netip.Addr, port uint16) string {
	if !ip.IsValid() {
		return strconv.Itoa(int(port))
	}
	return netip.AddrPortFrom(ip, port).String()
}

// A problem is what is wrong with one part of a LISTEN.
type problem struct {
	part string // NAME, SOCKET, PORT, IP or WANT
	at   int    // bytes into the text that was being read
	what string
	like string // would be right
}

func (p *problem) in(text string, column int) error {
	return fmt.Errorf("LISTEN %q: %s at column %d %s, right would be %q", text, p.part, column+p.at, p.what, p.like)
}

// checkListenName checks a NAME. It becomes a FileDescriptorName=, which
// systemd splits at ":"; and "@", "=" and "/" would not be read back.
func checkListenName(name string) *problem {
	bad := func(what string) *problem { return &problem{part: "NAME", what: what, like: "http@80"} }
	if name == "" {
		return bad("is empty")
	}
	if len(name) > 255 {
		return bad("is longer than 255 bytes")
	}
	if digits(name) {
		return bad("is all digits, which reads as a port")
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			p := bad(fmt.Sprintf("has %q, and only letters, digits, \".\", \"_\" and \"-\" may stand there", name[i:i+1]))
			p.at = i
			return p
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '_' || c == '-'
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// setSocket reads SOCKET into l.
func (l *Listen) setSocket(s string) *problem {
	kind, rest, prefixed := strings.Cut(s, ":")
	switch {
	case s == "":
		return &problem{part: "SOCKET", what: "is empty", like: "80"}
	case prefixed && kind == "unix":
		l.Kind, l.Path = KindUnix, rest
		return shift(checkUnixPath(rest), len("unix:"))
	case prefixed && kind == "fd":
		l.Kind, l.FD = KindFD, rest
		return shift(checkFDName(rest), len("fd:"))
	case prefixed && kind == "udp":
		l.Kind = KindUDP
		ip, port, p := parseAddress(rest, "udp:53")
		l.IP, l.Port = ip, port
		return shift(p, len("udp:"))
	case strings.HasPrefix(s, "/"):
		return &problem{part: "SOCKET", what: "is a path", like: "unix:/run/app.sock"}
	case prefixed && (kind == "tcp" || kind == "http" || kind == "https"):
		return &problem{part: "SOCKET", what: fmt.Sprintf("starts with %q, which is not said", kind+":"), like: "127.0.0.1:80"}
	default:
		l.Kind = KindTCP
		like := "80"
		if prefixed {
			like = "127.0.0.1:80"
		}
		ip, port, p := parseAddress(s, like)
		l.IP, l.Port = ip, port
		return p
	}
}

// setWant reads WANT into l.
func (l *Listen) setWant(s string) *problem {
	switch {
	case s == "":
		return &problem{part: "WANT", what: "is empty", like: "80=3000"}
	case strings.HasPrefix(s, "/"):
		if l.Kind == KindUDP {
			return &problem{part: "WANT", what: "is a path, and no program listens on a path for udp", like: "udp:53=5353"}
		}
		if p := checkUnixPath(s); p != nil {
			p.part = "WANT"
			return p
		}
		l.Want = &Want{Path: s}
		return nil
	default:
		ip, port, p := parseAddress(s, "80=3000")
		if p != nil {
			p.part = "WANT"
			return p
		}
		l.Want = &Want{IP: ip, Port: port}
		return nil
	}
}

// checkUnixPath checks an absolute path, or the abstract "@name".
func checkUnixPath(s string) *problem {
	bad := func(what string) *problem {
		return &problem{part: "PATH", what: what, like: "unix:/run/app.sock"}
	}
	switch {
	case s == "" || s == "@":
		return bad("is empty")
	case s[0] != '/' && s[0] != '@':
		return bad("is not absolute")
	case len(s) > maxUnixPath:
		return bad(fmt.Sprintf("is %d bytes long, and a socket's path has %d at most", len(s), maxUnixPath))
	case strings.ContainsFunc(s, unicode.IsControl):
		return bad("has a control character")
	case s[0] == '/' && (strings.HasSuffix(s, "/") || path.Clean(s) == "/"):
		return bad("is a directory's")
	}
	return nil
}

// checkFDName checks the NAME of fd:NAME. A passed socket may be named after
// its unit ("app@1.socket"), so it is wider than a NAME of ours.
func checkFDName(s string) *problem {
	bad := func(what string) *problem { return &problem{part: "NAME", what: what, like: "fd:http=3000"} }
	if s == "" {
		return bad("is empty")
	}
	if len(s) > 255 {
		return bad("is longer than 255 bytes")
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			p := bad(fmt.Sprintf("has %q, which no socket's name has", s[i:i+1]))
			p.at = i
			return p
		}
	}
	return nil
}

func shift(p *problem, by int) *problem {
	if p != nil {
		p.at += by
	}
	return p
}
