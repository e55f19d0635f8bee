package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// passed describes a socket of the init system.
func passed(s activation.Socket) (*listener, error) {
	what := fmt.Sprintf("socket %d (%s)", s.Index, s.Name)
	if s.Kind != activation.TCP && s.Kind != activation.Unix && s.Kind != activation.UDP {
		return nil, fmt.Errorf("%s is a %s socket, which is not served: remove it from the socket unit", what, s.Kind)
	}
	if !s.Listening && s.Kind != activation.UDP {
		return nil, fmt.Errorf("%s does not listen: use ListenStream= in the socket unit", what)
	}
	a, err := addressOf(s.Addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	a.v6only = s.V6Only
	return &listener{address: a, index: s.Index, name: s.Name, passed: true, fixed: true, fd: -1}, nil
}

func addressOf(a net.Addr) (address, error) {
	switch a := a.(type) {
	case *net.TCPAddr:
		return address{network: "tcp", ip: ipOf(a.IP, a.Zone), port: a.Port}, nil
	case *net.UDPAddr:
		return address{network: "udp", ip: ipOf(a.IP, a.Zone), port: a.Port}, nil
	case *net.UnixAddr:
		return address{network: "unix", path: a.Name}, nil
	}
	return address{}, fmt.Errorf("address %v of a kind that is not served", a)
}

// ipOf is the address of a socket. A wildcard one of Go's and systemd's is IPv6 unless it
// was made of IPv4.
func ipOf(slice net.IP, zone string) netip.Addr {
	ip, ok := netip.AddrFromSlice(slice)
	if !ok {
		return netip.IPv6Unspecified()
	}
	if ip = ip.Unmap(); ip.Is6() {
		ip = ip.WithZone(zone)
	}
	return ip
}

// isNamed tells whether a --listen names l.
func (l *listener) isNamed(spec settings.Listen) bool {
	switch spec.Kind {
	case settings.KindFD:
		return l.name == spec.FD
	case settings.KindUnix:
		return l.network == "unix" && l.path == spec.Path
	case settings.KindTCP, settings.KindUDP:
		return l.network == string(spec.Kind) && l.port == int(spec.Port) && (!spec.IP.IsValid() || spec.IP.Unmap() == l.ip)
	}
	return false
}

// names lists the listeners, for people.
func (t *table) names() string {
	var s []string
	for _, l := range t.listeners {
		s = append(s, l.String())
	}
	return strings.Join(s, ", ")
}

// bindListen opens what a --listen asks for.
func bindListen(spec settings.Listen) (*listener, int, error) {
	address := ":" + strconv.Itoa(int(spec.Port))
	if spec.IP.IsValid() {
		address = netip.AddrPortFrom(spec.IP, spec.Port).String()
	}
	if spec.Kind == settings.KindUnix {
		if err := removeStale(spec.Path); err != nil {
			return nil, -1, err
		}
		address = spec.Path
	}
	l, fd, err := bindOwn(string(spec.Kind), address, false)
	if err != nil {
		return nil, -1, explain(err, string(spec.Kind), int(spec.Port))
	}
	l.name, l.fixed = spec.Name, true
	if spec.Want != nil {
		l.wants = []settings.Want{*spec.Want}
	}
	return l, fd, nil
}

// bindOwn opens a socket. reuse lets several UDP ones have one address (SO_REUSEADDR).
func bindOwn(network, address string, reuse bool) (*listener, int, error) {
	var config net.ListenConfig
	if !strings.HasPrefix(network, "udp") {
		short, release, err := address, func() {}, error(nil)
		if network == "unix" {
			short, release, err = sys.ShortPath(address)
		}
		if err != nil {
			return nil, -1, err
		}
		defer release()
		ln, err := config.Listen(context.Background(), network, short)
		if err != nil {
			return nil, -1, err
		}
		defer ln.Close()
		at := ln.Addr()
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
			at = &net.UnixAddr{Name: address, Net: network}
		}
		return own(ln.(syscall.Conn), at)
	}
	if reuse {
		config.Control = func(_, _ string, c syscall.RawConn) (err error) {
			cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
			return errors.Join(cerr, err)
		}
	}
	conn, err := config.ListenPacket(context.Background(), network, address)
	if err != nil {
		return nil, -1, err
	}
	defer conn.Close()
	return own(conn.(syscall.Conn), conn.LocalAddr())
}

// maxListeners bounds what workers make us open: each may have many, and one that
// dies leaves its own behind until its slot is served again. Connections and new
// processes need descriptors, too: of those that we may open, this is a quarter.
func maxListeners() int { return min(4096, sys.MaxDescriptors()/4) }

// lookEvery is how often a worker that asks for a taken port makes us look through
// /proc for who has it, which takes longer than all else that the loop does.
const lookEvery = 10 * time.Second

// bind opens what a worker asked for, as Node's primary does.
func (l *loop) bind(w *worker, seq int64, q *wire.Query) {
	ls, fd, err := (*listener)(nil), -1, error(unix.EMFILE)
	if len(l.listeners) < l.maxListeners {
		ls, fd, err = bindQuery(q)
	}
	ev := event{kind: evBound, worker: w.id, seq: seq, msg: &wire.Message{Query: q}}
	if err != nil {
		errno := unix.EINVAL
		errors.As(err, &errno)
		if errno == unix.ENOENT && w.batch == 0 {
			errno = unix.EACCES // as libuv says of a path whose directory is not there
		}
		ev.errno, ev.err = int(errno), l.explain(err, strings.TrimRight(networkOf(q), "46"), q.Port)
	} else {
		l.add(ls, fd)
		l.keepListener(ls)
		ev.listener = ls
	}
	l.raise(ev)
}

// explain is explain, for a worker that may ask without end.
func (l *loop) explain(err error, kind string, port int) error {
	if errors.Is(err, unix.EADDRINUSE) {
		if l.now < l.lookAt {
			return err
		}
		l.lookAt = l.now.add(lookEvery)
	}
	return explain(err, kind, port)
}

func bindQuery(q *wire.Query) (*listener, int, error) {
	network, addr := networkOf(q), net.JoinHostPort(q.Address, strconv.Itoa(q.Port))
	if network == "unix" {
		addr = unixPath(q.Address)
	}
	l, fd, err := bindOwn(network, addr, q.Flags&wire.FlagReuseAddr != 0)
	if err != nil {
		return nil, -1, err
	}
	if q.Backlog > 0 && !q.Datagram() {
		err = unix.Listen(fd, q.Backlog)
	}
	if err == nil && network == "unix" && !strings.HasPrefix(addr, "@") && (q.ReadableAll || q.WritableAll) {
		err = os.Chmod(addr, mode(q))
	}
	if err != nil {
		sys.Close(fd)
		return nil, -1, err
	}
	return l, fd, nil
}

// networkOf is what package net calls that which q is for.
func networkOf(q *wire.Query) string {
	if q.Type == wire.Pipe {
		return "unix"
	}
	kind := "tcp"
	if q.Datagram() {
		kind = "udp"
	}
	ip, err := netip.ParseAddr(q.Address)
	switch {
	case q.Address == "": // Node tries :: and then 0.0.0.0, as Go does for no address
		return kind
	case q.Flags&wire.FlagV6Only != 0:
		return kind + "6"
	case err == nil && ip.Is4():
		return kind + "4"
	}
	return kind
}

// mode is what Node's readableAll and writableAll make of a socket's 0755.
func mode(q *wire.Query) os.FileMode {
	m := os.FileMode(0o755)
	if q.ReadableAll {
		m |= 0o444
	}
	if q.WritableAll {
		m |= 0o222
	}
	return m
}

// own takes a socket that Go opened: its descriptor goes on without Go's poller.
func own(conn syscall.Conn, at net.Addr) (*listener, int, error) {
	a, err := addressOf(at)
	if err != nil {
		return nil, -1, err
	}
	fd, err := sys.DupFile(conn)
	if err != nil {
		return nil, -1, err
	}
	l := &listener{address: a, index: -1}
	if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err == nil {
		l.v6only = v != 0
	}
	l.file = socketFile(a.path)
	return l, fd, nil
}

// unbind closes ls. A socket file of ours goes, unless another program has put its own there.
func (l *loop) unbind(ls *listener) {
	if ls.fd < 0 {
		return
	}
	l.m.poller.Watch(ls.fd, 0, 0)
	sys.Close(ls.fd)
	ls.fd = -1
	delete(l.listeners, ls.num)
	if ls.kept != 0 && !ls.unkept {
		l.drop(fmt.Sprintf(listenerName, ls.kept))
	}
	if ls.file != nil && os.SameFile(ls.file, socketFile(ls.path)) {
		os.Remove(ls.path)
	}
}

// socketFile is what is at path now, or nil.
func socketFile(path string) os.FileInfo {
	if path == "" || path[0] == '@' {
		return nil
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	return info
}

// removeStale removes a socket file that nobody listens on any more.
func removeStale(path string) error {
	info := socketFile(path)
	if info == nil {
		return nil
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is in the way and is not a socket", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("another process listens on %s", path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// explain adds to a bind error what the operator can do about it.
func explain(err error, kind string, port int) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if who := sys.PortHolder(kind, port); who != "" {
			return fmt.Errorf("%w: by %s", err, who)
		}
	case errors.Is(err, unix.EACCES) && port > 0:
		return fmt.Errorf("%w: ports below the system's limit need root; have systemd open it (rondo install), or use a higher port", err)
	}
	return err
}

func joinWords(s []string) string { return strings.Join(s, ", ") }
