package master

import (
	"errors"
	"fmt"
	"net"
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

// maxKey bounds the name of a key, which is in each line that is sent for it; the
// longest path and the longest abstract name together fit.
const maxKey = 8 << 10

// maxZone bounds the zone of an IPv6 address: the name of an interface.
const maxZone = 64

// maxData bounds what a worker has us keep for others (TLS ticket keys are 110 bytes).
const maxData = 4 << 10

// address is where a listener listens.
type address struct {
	network string     // tcp, udp or unix
	ip      netip.Addr // of tcp and udp
	port    int        // likewise
	v6only  bool
	path    string // of unix; "@name" is abstract
}

func (a address) String() string {
	if a.network == "unix" {
		return "unix:" + a.path
	}
	at := netip.AddrPortFrom(a.ip, uint16(a.port)).String()
	if a.network == "udp" {
		return "udp:" + at
	}
	return at
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
	families := [2]wire.AddressType{wire.IPv6, wire.IPv4}
	if l.datagram() {
		families = [2]wire.AddressType{wire.UDP6, wire.UDP4}
	}
	family := families[0]
	if l.ip.Is4() {
		family = families[1]
	}
	return fmt.Sprintf("%s:%d:%s:%s:0", l.ip, l.port, family, fd)
}

// queryServer answers what a worker wants to listen on.
func (t *table) queryServer(w *worker, seq int64, q *wire.Query) {
	if w.want == down { // as Node's primary: a leaving worker opens nothing
		return
	}
	if k := w.keys[handleName(q)]; k != nil && w.adopted && k.asked == seq { // read once more by this master
		if len(k.handle.listeners) > 0 {
			t.reply(k, seq)
			return
		}
		t.forget(k) // the last master ended before it had recorded what it opened for it
	}
	if errno, why := unfit(w, q); errno != 0 {
		t.refuse(w, seq, q, errno, why)
		return
	}
	name := handleName(q)
	if h := t.handles[name]; h != nil {
		t.grant(w, seq, q, h)
		return
	}
	found, err := match(t.open(w, q), q)
	switch {
	case err != nil:
		t.refuse(w, seq, q, unix.EADDRNOTAVAIL, err.Error())
	case len(found) > 0:
		t.grant(w, seq, q, &handle{name: name, listeners: found})
	case t.mayBind(q):
		t.do(effect{kind: effBind, worker: w, seq: seq, query: q})
	default:
		t.refuse(w, seq, q, unix.EADDRNOTAVAIL, t.remedy(q))
	}
}

// handleName names the handle of q. The index counts only where it tells sockets
// apart, at a port of our choice, as in Node since 22: else workers that opened and
// closed a listener differently often would not share it.
func handleName(q *wire.Query) string {
	same := *q
	if q.Port != 0 || q.FD >= 0 || q.Name != "" {
		same.Index = 0
	}
	return same.Key()
}

// unfit tells what no listener could serve. It keeps from the rest what only a
// broken worker sends: a name that fits no line, an address that would be looked up.
func unfit(w *worker, q *wire.Query) (unix.Errno, string) {
	ip, err := netip.ParseAddr(q.Address)
	switch {
	case len(q.Address) > maxKey || len(q.Type) > maxKey || len(wire.Quote(q.Key())) > maxKey:
		return unix.ENAMETOOLONG, "no address is that long"
	case w.keys[handleName(q)] != nil:
		return unix.EADDRINUSE, "it has this listener open already"
	case len(w.keys) >= maxKeys:
		return unix.EMFILE, "it has too many listeners open"
	case q.FD >= 0 || q.Name != "" || q.Type == wire.Pipe:
		return 0, ""
	case q.Type != wire.IPv4 && q.Type != wire.IPv6 && !q.Datagram():
		return unix.EINVAL, "an address of a kind that is not served"
	case q.Address != "" && (err != nil || len(ip.Zone()) > maxZone) || q.Port < 0 || q.Port > 65535:
		return unix.EINVAL, "that is no address and port"
	}
	return 0, ""
}

// open gives the listeners that q may be for. A worker may open a UDP socket again and
// again with reuseAddr (SO_REUSEADDR): each time that is another socket, if it is ours.
func (t *table) open(w *worker, q *wire.Query) []*listener {
	if !q.Datagram() || q.Flags&wire.FlagReuseAddr == 0 {
		return t.listeners
	}
	has := map[*listener]bool{}
	for _, k := range w.keys {
		for _, l := range k.handle.listeners {
			has[l] = !l.fixed
		}
	}
	return slices.DeleteFunc(slices.Clone(t.listeners), func(l *listener) bool { return has[l] })
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
	h := &handle{name: handleName(q), listeners: []*listener{ev.listener}, bound: true}
	ev.listener.handle = h.name
	t.listeners = append(t.listeners, ev.listener)
	t.grant(w, ev.seq, q, h)
}

// grant opens h for w.
func (t *table) grant(w *worker, seq int64, q *wire.Query, h *handle) {
	share, err := w.shareable(q, h.listeners)
	if err != nil {
		t.refuse(w, seq, q, unix.EADDRNOTAVAIL, err.Error())
		return
	}
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
	asked := *q
	asked.Data = nil // as long as a message may be, and done with
	k := &key{name: h.name, quoted: wire.Quote(h.name), asked: seq, worker: w, query: &asked, handle: h, shared: share}
	k.sit()
	w.keys[k.name], t.handles[h.name] = k, h
	h.keys++
	t.reply(k, seq)
}

// sit has k stand for its listeners.
func (k *key) sit() {
	for _, l := range k.handle.listeners {
		l.asked = true
		l.keys++
		if !k.shared {
			k.seats = append(k.seats, &seat{key: k, listener: l})
		}
	}
}

// reply answers the query of k with where it listens.
func (t *table) reply(k *key, seq int64) {
	if k.shared {
		t.share(k, seq)
		return
	}
	q := k.query
	k.port = q.Port
	var sockname *wire.Sockname
	for _, l := range k.handle.listeners {
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
	w := k.worker
	t.line(w, wire.AppendReply(nil, w.nextSeq(), seq, k.name, 0, k.handle.data, sockname))
}

// refuse answers with an error that becomes the worker's own listen error.
func (t *table) refuse(w *worker, seq int64, q *wire.Query, errno unix.Errno, why string) {
	if name := shorten(q.String()); w.unheard(name + why) {
		t.log.Warn("worker cannot listen", w.attrs("listener", name, "errno", unix.ErrnoName(errno), "err", shorten(why))...)
	}
	w.refusal = shorten(q.String() + ": " + why)
	data := q.Data // a TLS server reads its ticket keys from an error, too
	if len(data) > maxData {
		data = nil
	}
	t.line(w, wire.AppendReply(nil, w.nextSeq(), seq, "", -int(errno), data, nil))
}

// remedy says which listeners there are and what would serve q.
func (t *table) remedy(q *wire.Query) string {
	var have []string
	var from *listener
	best := -1
	for _, l := range t.listeners {
		if !l.passed {
			continue
		}
		have = append(have, l.String())
		if score := l.suits(q); score > best {
			best, from = score, l
		}
	}
	passed := "no sockets were passed"
	if from != nil {
		passed = "passed are: " + strings.Join(have, ", ")
	}
	switch {
	case q.FD >= 0 || q.Name != "" || from == nil:
		return "no such socket was passed; " + passed
	case from.foreign(q):
		return fmt.Sprintf("%s is of the other address family, in which a %s socket cannot answer: have systemd pass it as udp:%s",
			from, q.Type, net.JoinHostPort(anyOf[q.Type], strconv.Itoa(from.port)))
	case unixPath(q.Address) != q.Address: // a WANT has no abstract names
		return "the init system passed no socket for it; " + passed + "; to open it here: --bind"
	}
	return fmt.Sprintf("the init system passed no socket for it; %s; to serve it from one of them: --listen %s; to open it here: --bind",
		passed, t.flag(from, q))
}

// anyOf is the wildcard of each kind of datagram socket.
var anyOf = map[wire.AddressType]string{wire.UDP4: "0.0.0.0", wire.UDP6: "::"}

// suits tells how well l would do for q: one of the same kind that nobody asks for is best.
func (l *listener) suits(q *wire.Query) int {
	score := 0
	if (l.network == "unix") == (q.Type == wire.Pipe) && l.datagram() == q.Datagram() {
		score += 2
	}
	if !l.asked {
		score++
	}
	return score
}

// flag is the LISTEN that serves q from l.
func (t *table) flag(l *listener, q *wire.Query) string {
	from := l.address.String()
	if t.isName(l) {
		from = "fd:" + l.name
	}
	switch {
	case q.Type == wire.Pipe:
		return from + "=" + q.Address
	case q.Address == "" || isAny(q.Address):
		return from + "=" + strconv.Itoa(q.Port)
	default:
		return from + "=" + strings.TrimPrefix(q.String(), "udp:")
	}
}

// isName tells whether l's name stands for it alone, and not also for a socket of
// the other kind, or for all that have none.
func (t *table) isName(l *listener) bool {
	return l.name != "" && l.name != "unknown" && !slices.ContainsFunc(t.listeners, func(other *listener) bool {
		return other.name == l.name && other.network != l.network
	})
}

// match finds the listeners that serve q: none means that nobody has them. The
// order is a passed descriptor, its name, an explicit mapping, the same address,
// and for any address every listener on that port.
func match(all []*listener, q *wire.Query) ([]*listener, error) {
	for _, rule := range []func(*listener, *wire.Query) bool{byDescriptor, byName, byWant, exact, byPort} {
		var found []*listener
		for _, l := range all {
			if !l.failed && l.datagram() == q.Datagram() && !l.foreign(q) && rule(l, q) {
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

func (l *listener) datagram() bool { return l.network == "udp" }

// foreign tells of a UDP socket of the other address family than the program's own would
// be: a dgram socket of Node cannot answer what comes from there. A Go program, which can,
// asks for no address when it means both.
func (l *listener) foreign(q *wire.Query) bool {
	return l.datagram() && q.Datagram() && q.Address != "" && l.ip.Is4() != (q.Type == wire.UDP4)
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
	return l.network != "unix" && q.Port > 0 && l.port == q.Port && q.Address != "" && l.ip.String() == plain(q.Address) && familyFits(l, q)
}

func byPort(l *listener, q *wire.Query) bool {
	// One that a worker had us open is its own: another address is another socket.
	return l.fixed && q.FD < 0 && q.Name == "" && q.Type != wire.Pipe && l.network != "unix" && q.Port > 0 && l.port == q.Port &&
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
	again := false
	for _, k := range w.keys {
		if k.query.Index != q.Index || k.query.Address != q.Address || k.query.Type != q.Type ||
			k.query.FD != q.FD || k.query.Name != q.Name || (q.Port != k.port && q.Port != k.query.Port) {
			continue
		}
		if k.listening {
			again = true
			continue
		}
		k.listening = true
		t.checkReady(w)
		return
	}
	if w.want == up && !w.ended && !(again && w.adopted) {
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
	t.forget(k)
	if w.want == up {
		if w.state == wReady {
			w.slot.served = w.listeners()
		}
		for _, l := range k.handle.listeners {
			t.unbindUnused(l)
		}
	}
	t.sweep()
}

func (t *table) unbindUnused(l *listener) {
	if !l.fixed && !l.gone && l.keys == 0 {
		t.unbind(l)
	}
}

// sweep closes what we opened for workers and none has open any more: those that
// had it left, or died, and their successors did without. What a slot served that
// has no ready worker now, its next one may want again.
func (t *table) sweep() {
	if t.phase > serving || t.reload != nil {
		return
	}
	awaited := map[*listener]bool{}
	for _, s := range t.slots {
		if !s.isReady() {
			for _, l := range s.served {
				awaited[l] = true
			}
		}
	}
	for _, l := range slices.Clone(t.listeners) {
		if !awaited[l] {
			t.unbindUnused(l)
		}
	}
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
	errs = append(errs, settings.CheckWants(t.mappings())) // the kind of a fd:NAME is known only now
	var names []string
	for _, l := range t.listeners {
		names = append(names, l.name)
	}
	errs = append(errs, t.checkSchedule(names))
	return errors.Join(errs...)
}

// checkSchedule refuses a rule for a listener that there is not.
func (t *table) checkSchedule(names []string) error {
	for _, name := range t.cfg.Schedule.Names() {
		if !slices.Contains(names, name) {
			return fmt.Errorf("--schedule %s: no listener has the name %q", t.cfg.Schedule, name)
		}
	}
	return nil
}

// mappings are what the listeners are mapped to, each as a --listen would say it.
func (t *table) mappings() []settings.Listen {
	var list []settings.Listen
	for _, l := range t.listeners {
		spec := settings.Listen{Name: l.name, Kind: settings.KindTCP, IP: l.ip, Port: uint16(l.port)}
		switch l.network {
		case "unix":
			spec = settings.Listen{Name: l.name, Kind: settings.KindUnix, Path: l.path}
		case "udp":
			spec.Kind = settings.KindUDP
		}
		for _, want := range l.wants {
			spec.Want = &want
			list = append(list, spec)
		}
	}
	return list
}
