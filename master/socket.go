package master

import (
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
	if s.Kind != activation.TCP && s.Kind != activation.Unix {
		return nil, fmt.Errorf("%s is a %s socket, which is not served: remove ListenDatagram= from the socket unit", what, s.Kind)
	}
	if !s.Listening {
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
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			ip = netip.IPv6Unspecified()
		}
		// A wildcard listener of Go's and systemd's is IPv6 unless it was made of IPv4.
		if ip.Is4In6() {
			ip = ip.Unmap()
		}
		if ip.Is6() {
			ip = ip.WithZone(a.Zone)
		}
		return address{network: "tcp", ip: ip, port: a.Port}, nil
	case *net.UnixAddr:
		return address{network: "unix", path: a.Name}, nil
	}
	return address{}, fmt.Errorf("address %v of a kind that is not served", a)
}

// isNamed tells whether a --listen names l.
func (l *listener) isNamed(spec settings.Listen) bool {
	switch spec.Kind {
	case settings.KindFD:
		return l.name == spec.FD
	case settings.KindUnix:
		return l.network == "unix" && l.path == spec.Path
	case settings.KindTCP:
		return l.network == "tcp" && l.port == int(spec.Port) && (!spec.IP.IsValid() || spec.IP.Unmap() == l.ip)
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
	var ln net.Listener
	var err error
	switch {
	case spec.Kind == settings.KindUnix:
		if err := removeStale(spec.Path); err != nil {
			return nil, -1, err
		}
		ln, err = net.Listen("unix", spec.Path)
	case spec.IP.IsValid():
		ln, err = net.Listen("tcp", netip.AddrPortFrom(spec.IP, spec.Port).String())
	default:
		ln, err = net.Listen("tcp", ":"+strconv.Itoa(int(spec.Port)))
	}
	if err != nil {
		return nil, -1, explain(err, int(spec.Port))
	}
	l, fd, err := own(ln)
	if err != nil {
		return nil, -1, err
	}
	l.name, l.fixed = spec.Name, true
	if spec.Want != nil {
		l.wants = []settings.Want{*spec.Want}
	}
	return l, fd, nil
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
		ev.errno, ev.err = int(errno), l.explain(err, q.Port)
	} else {
		l.add(ls, fd)
		l.keepListener(ls)
		ev.listener = ls
	}
	l.raise(ev)
}

// explain is explain, for a worker that may ask without end.
func (l *loop) explain(err error, port int) error {
	if errors.Is(err, unix.EADDRINUSE) {
		if l.now < l.lookAt {
			return err
		}
		l.lookAt = l.now.add(lookEvery)
	}
	return explain(err, port)
}

func bindQuery(q *wire.Query) (*listener, int, error) {
	network, addr := "tcp", net.JoinHostPort(q.Address, strconv.Itoa(q.Port))
	switch {
	case q.Type == wire.Pipe:
		network, addr = "unix", unixPath(q.Address)
	case q.Address == "": // Node tries :: and then 0.0.0.0, as Go does for no address
	case q.Flags&wire.FlagV6Only != 0:
		network = "tcp6"
	default:
		if ip, err := netip.ParseAddr(q.Address); err == nil && ip.Is4() {
			network = "tcp4"
		}
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		return nil, -1, err
	}
	l, fd, err := own(ln)
	if err != nil {
		return nil, -1, err
	}
	if q.Backlog > 0 {
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

// own takes a listener that Go opened: its descriptor goes on without Go's poller.
func own(ln net.Listener) (*listener, int, error) {
	defer ln.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	a, err := addressOf(ln.Addr())
	if err != nil {
		return nil, -1, err
	}
	fd, err := sys.DupFile(ln.(syscall.Conn))
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
func explain(err error, port int) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if who := sys.PortHolder(port); who != "" {
			return fmt.Errorf("%w: by %s", err, who)
		}
	case errors.Is(err, unix.EACCES) && port > 0:
		return fmt.Errorf("%w: ports below the system's limit need root; have systemd open it (rondo install), or use a higher port", err)
	}
	return err
}

func joinWords(s []string) string { return strings.Join(s, ", ") }
