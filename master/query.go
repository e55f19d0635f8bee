package master

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// maxKeys bounds the listeners of one worker.
const maxKeys = 1024

// maxData bounds what a worker has us keep for others (TLS ticket keys are 110 bytes).
const maxData = 4 << 10

// address is where a listener listens.
type address struct {
	network string     // tcp or unix
	ip      netip.Addr // of tcp
	port    int        // of tcp
	v6only  bool
	path    string // of unix; "@name" is abstract
}

func (a address) String() string {
	if a.network == "unix" {
		return "unix:" + a.path
	}
	return netip.AddrPortFrom(a.ip, uint16(a.port)).String()
}

func (l *listener) String() string {
	if l.name == "" {
		return l.address.String()
	}
	return l.name + "@" + l.address.String()
}

// keyText names l as Node names a handle.
func (l *listener) keyText() string {
	fd := "null"
	if l.index >= 0 {
		fd = strconv.Itoa(3 + l.index)
	}
	if l.network == "unix" {
		return fmt.Sprintf("%s:-1:-1:%s:0", l.path, fd)
	}
	family := wire.IPv6
	if l.ip.Is4() {
		family = wire.IPv4
	}
	return fmt.Sprintf("%s:%d:%s:%s:0", l.ip, l.port, family, fd)
}

// queryServer answers what a worker wants to listen on.
func (t *table) queryServer(w *worker, seq int64, q *wire.Query) {
	if w.want == down { // as Node's primary: a leaving worker opens nothing
		return
	}
	name := q.Key()
	switch {
	case w.keys[name] != nil:
		t.refuse(w, seq, q, unix.EADDRINUSE, "it has this listener open already")
		return
	case len(w.keys) >= maxKeys:
		t.refuse(w, seq, q, unix.EMFILE, "it has too many listeners open")
		return
	case q.Type == wire.UDP4 || q.Type == wire.UDP6:
		t.refuse(w, seq, q, unix.ENOTSUP, "datagram sockets are not served")
		return
	}
	if h := t.handles[name]; h != nil {
		t.grant(w, seq, q, h)
		return
	}
	found, err := match(t.listeners, q)
	switch {
	case err != nil:
		t.refuse(w, seq, q, unix.EADDRNOTAVAIL, err.Error())
	case len(found) > 0:
		h := &handle{listeners: found}
		t.handles[name] = h
		t.grant(w, seq, q, h)
	case t.mayBind(q):
		t.do(effect{kind: effBind, worker: w, seq: seq, query: q})
	default:
		t.refuse(w, seq, q, unix.EADDRNOTAVAIL, t.remedy(q))
	}
}

// mayBind tells whether the master opens what nobody passed.
func (t *table) mayBind(q *wire.Query) bool {
	if q.FD >= 0 || q.Name != "" {
		return false
	}
	if q.Port == 0 && q.Type != wire.Pipe || t.cfg.Bind {
		return true
	}
	return !slices.ContainsFunc(t.listeners, func(l *listener) bool { return l.passed })
}

// bound continues a query whose socket the loop has opened, or could not.
func (t *table) bound(w *worker, ev event) {
	q := ev.msg.Query
	if ev.listener == nil {
		t.refuse(w, ev.seq, q, unix.Errno(ev.errno), ev.err.Error())
		return
	}
	t.listeners = append(t.listeners, ev.listener)
	h := &handle{listeners: []*listener{ev.listener}}
	t.handles[q.Key()] = h
	t.grant(w, ev.seq, q, h)
}

// grant opens h for w.
func (t *table) grant(w *worker, seq int64, q *wire.Query, h *handle) {
	for _, k := range w.keys {
		for _, l := range k.handle.listeners {
			if slices.Contains(h.listeners, l) {
				t.refuse(w, seq, q, unix.EADDRINUSE, "it listens on "+l.String()+" already")
				return
			}
		}
	}
	if h.data == nil && len(q.Data) <= maxData {
		h.data = q.Data
	}
	k := &key{name: q.Key(), worker: w, query: q, handle: h, port: q.Port}
	k.quoted = wire.Quote(k.name)
	var sockname *wire.Sockname
	for _, l := range h.listeners {
		l.asked = true
		k.seats = append(k.seats, &seat{key: k, listener: l})
		if sockname == nil && l.network == "tcp" {
			sockname = &wire.Sockname{Address: l.ip.String(), Family: "IPv6", Port: l.port}
			if l.ip.Is4() {
				sockname.Family = "IPv4"
			}
			if q.Port > 0 { // a worker takes another port than it asked for as EADDRINUSE
				sockname.Port = q.Port
			}
			k.port = sockname.Port
		}
		if sockname == nil && q.Name != "" { // by name the worker does not know the path
			sockname = &wire.Sockname{Address: l.path, Family: "unix", Port: -1}
			k.port = -1
		}
	}
	w.keys[k.name] = k
	t.line(w, wire.AppendReply(nil, w.nextSeq(), seq, k.name, 0, h.data, sockname))
}

// refuse answers with an error that becomes the worker's own listen error.
func (t *table) refuse(w *worker, seq int64, q *wire.Query, errno unix.Errno, why string) {
	t.log.Warn("worker cannot listen", w.attrs("listener", q.String(), "errno", unix.ErrnoName(errno), "err", why)...)
	data := q.Data // a TLS server reads its ticket keys from an error, too
	if len(data) > maxData {
		data = nil
	}
	t.line(w, wire.AppendReply(nil, w.nextSeq(), seq, "", -int(errno), data, nil))
}

// remedy says which listeners there are and what would serve q.
func (t *table) remedy(q *wire.Query) string {
	var have []string
	hint := ""
	for _, l := range t.listeners {
		have = append(have, l.String())
		if hint == "" && l.passed && !l.asked {
			hint = l.flag(q)
		}
	}
	if hint == "" && len(t.listeners) > 0 {
		hint = t.listeners[0].flag(q)
	}
	if q.FD >= 0 || q.Name != "" {
		return fmt.Sprintf("no such socket was passed; passed are: %s", strings.Join(have, ", "))
	}
	return fmt.Sprintf("the init system passed no socket for it; passed are: %s; to serve it from one of them: --listen %s; to open it here: --bind",
		strings.Join(have, ", "), hint)
}

// flag is the LISTEN that serves q from l.
func (l *listener) flag(q *wire.Query) string {
	from := l.address.String()
	if l.name != "" && l.name != "unknown" {
		from = "fd:" + l.name
	}
	switch {
	case q.Type == wire.Pipe:
		return from + "=" + q.Address
	case q.Address == "" || isAny(q.Address):
		return from + "=" + strconv.Itoa(q.Port)
	default:
		return from + "=" + q.String()
	}
}

// match finds the listeners that serve q: none means that nobody has them. The
// order is a passed descriptor, its name, an explicit mapping, the same address,
// and for any address every listener on that port.
func match(all []*listener, q *wire.Query) ([]*listener, error) {
	for _, rule := range []func(*listener, *wire.Query) bool{byDescriptor, byName, byWant, exact, byPort} {
		var found []*listener
		for _, l := range all {
			if !l.failed && rule(l, q) {
				found = append(found, l)
			}
		}
		if len(found) > 0 {
			return oneNetwork(found)
		}
	}
	return nil, nil
}

// oneNetwork refuses a mix of TCP and unix listeners for one query: the worker is
// told one kind of address.
func oneNetwork(found []*listener) ([]*listener, error) {
	for _, l := range found {
		if l.network != found[0].network {
			return nil, fmt.Errorf("both %s and %s match; name one of them with --listen", found[0], l)
		}
	}
	return found, nil
}

func byDescriptor(l *listener, q *wire.Query) bool { return q.FD >= 0 && l.index == q.FD-3 && l.passed }

func byName(l *listener, q *wire.Query) bool { return q.Name != "" && l.name == q.Name }

func byWant(l *listener, q *wire.Query) bool {
	return q.FD < 0 && q.Name == "" && slices.ContainsFunc(l.wants, func(w settings.Want) bool { return wanted(w, q) })
}

// wanted tells whether q is what w stands for. A want of a port alone is for any address.
func wanted(w settings.Want, q *wire.Query) bool {
	if q.Type == wire.Pipe || w.Path != "" {
		return q.Type == wire.Pipe && q.Address == w.Path
	}
	if q.Port != int(w.Port) {
		return false
	}
	return !w.IP.IsValid() || w.IP.String() == plain(q.Address) || (w.IP.IsUnspecified() && isAny(q.Address))
}

func exact(l *listener, q *wire.Query) bool {
	if q.FD >= 0 || q.Name != "" {
		return false
	}
	if q.Type == wire.Pipe {
		return l.network == "unix" && l.path == unixPath(q.Address)
	}
	return l.network == "tcp" && q.Port > 0 && l.port == q.Port && q.Address != "" && l.ip.String() == plain(q.Address) && familyFits(l, q)
}

func byPort(l *listener, q *wire.Query) bool {
	return q.FD < 0 && q.Name == "" && q.Type != wire.Pipe && l.network == "tcp" && q.Port > 0 && l.port == q.Port &&
		isAny(q.Address) && familyFits(l, q)
}

// familyFits keeps an IPv4 query from a listener that takes only IPv6, and the other way round.
func familyFits(l *listener, q *wire.Query) bool {
	if q.Address == "" {
		return true
	}
	ip, err := netip.ParseAddr(q.Address)
	if err != nil {
		return true
	}
	if ip.Is4() {
		return !(l.ip.Is6() && l.v6only)
	}
	return !(q.Flags&wire.FlagV6Only != 0 && l.ip.Is4())
}

// isAny tells whether a worker's address means every address.
func isAny(s string) bool {
	ip, err := netip.ParseAddr(s)
	return s == "" || err == nil && ip.IsUnspecified()
}

// plain is an IP address in its one short form.
func plain(s string) string {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Unmap().String()
	}
	return s
}

// unixPath undoes that Node resolves an abstract name like a path:
// cwd + "/" + NUL + name. The result is in Go's form, "@name".
func unixPath(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return "@" + s[i+1:]
	}
	return s
}

// listening applies that w has opened the listener it asked for.
func (t *table) listening(w *worker, q *wire.Query) {
	for _, k := range w.keys {
		if k.listening || k.query.Index != q.Index || k.query.Address != q.Address || k.query.Type != q.Type ||
			k.query.FD != q.FD || k.query.Name != q.Name || (q.Port != k.port && q.Port != k.query.Port) {
			continue
		}
		k.listening = true
		t.checkReady(w)
		return
	}
	if w.want == up && !w.ended {
		t.violation(w, "says that it listens on "+q.String()+", which it did not ask for")
	}
}

// closeKey applies that w has closed a listener. One that we opened for the workers
// closes with the last of them, as in Node; one that was passed stays.
func (t *table) closeKey(w *worker, name string) {
	k := w.keys[name]
	if k == nil {
		return
	}
	t.unseatKey(k)
	k.closed = true
	delete(w.keys, name)
	if w.want == down {
		return
	}
	if w.state == wReady {
		w.slot.served = w.listeners()
	}
	for _, l := range k.handle.listeners {
		if !l.fixed && !t.isOpen(l) && len(l.held) == 0 {
			t.unbind(l)
		}
	}
}

func (t *table) isOpen(l *listener) bool {
	for _, w := range t.workers {
		for _, k := range w.keys {
			if slices.Contains(k.handle.listeners, l) {
				return true
			}
		}
	}
	return false
}

// configure gives names and wants to the listeners that a --listen means. Those
// that name no passed socket are errors, so that nothing is served by half.
func (t *table) configure(list []settings.Listen) error {
	var errs []error
	for _, spec := range list {
		found := 0
		for _, l := range t.listeners {
			if !l.isNamed(spec) {
				continue
			}
			found++
			if spec.Want != nil {
				l.wants = append(l.wants, *spec.Want)
			}
		}
		if found == 0 {
			errs = append(errs, fmt.Errorf("--listen %s: no such socket was passed; passed are: %s", spec, t.names()))
		}
	}
	return errors.Join(errs...)
}
