package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// channelFD is where a worker finds its channel.
const channelFD = 3

// rogue is a worker that says on its channel what it likes. It listens on the
// first passed socket and refuses every connection, unless its behaviour has more.
type rogue struct {
	stage net.Conn
	cues  *bufio.Reader

	given atomic.Pointer[given] // in place of refuse
	deaf  atomic.Bool           // to disconnect
	cued  sync.Once             // what is held may go

	out sync.Mutex // guards seq and the writing end
	seq int64

	mu    sync.Mutex // guards heard
	heard heard
	news  *sync.Cond
}

// given is what a rogue does with connections; it takes fds.
type given = func(r *rogue, m *wire.Message, fds []int)

// heard counts what the master has said.
type heard struct {
	acks, nacks, granted, refused, conns int
	lingering                            int    // connections that it closed so
	key                                  string // of the last grant
}

// hostileWorker behaves in slot 0 as the stage says, and well in the others. The
// stage is where the test waits; a worker that replaces the rogue is told to behave.
func hostileWorker() int {
	if os.Getenv("RONDO_SLOT") != "0" {
		return goWorker()
	}
	c, err := net.Dial("tcp", os.Getenv("TEST_STAGE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r := &rogue{stage: c, cues: bufio.NewReader(c)}
	r.news = sync.NewCond(&r.mu)
	b, ok := behaviours[r.cue()]
	if !ok {
		return goWorker()
	}
	unix.CloseOnExec(channelFD)
	go r.read() // ends with the process
	r.online(b.batch)
	if r.cue() == "listen" {
		r.listen(0)
		r.cue()
	}
	if b.given != nil {
		r.given.Store(&b.given)
	}
	if b.act != nil {
		b.act(r)
	}
	r.tell("did")
	select {}
}

// cue waits for a line of the test. The end of the test is the rogue's.
func (r *rogue) cue() string {
	line, err := r.cues.ReadString('\n')
	if err != nil {
		os.Exit(0)
	}
	return strings.TrimSpace(line)
}

func (r *rogue) tell(format string, args ...any) { fmt.Fprintf(r.stage, format+"\n", args...) }

// say writes b, whole, with fds on its first byte. It ends when the master takes it,
// or with the channel.
func (r *rogue) say(b []byte, fds ...int) error {
	r.out.Lock()
	defer r.out.Unlock()
	return r.write(b, fds)
}

func (r *rogue) write(b []byte, fds []int) error {
	for len(b) > 0 {
		n, err := sys.Send(channelFD, b, fds)
		if err == unix.EAGAIN {
			awaitChannel(unix.POLLOUT)
			continue
		}
		if err == unix.ETOOMANYREFS { // too many under way: the master has them before long
			continue
		}
		if err != nil {
			return err
		}
		b, fds = b[n:], nil
	}
	return nil
}

// awaitChannel returns when the channel can be read or written, or has ended.
func awaitChannel(events int16) {
	unix.Poll([]unix.PollFd{{Fd: channelFD, Events: events}}, -1)
}

// tells writes what line makes of the next seq.
func (r *rogue) tells(line func(seq int64) []byte) error {
	r.out.Lock()
	defer r.out.Unlock()
	r.seq++
	return r.write(line(r.seq-1), nil)
}

func (r *rogue) online(batch int) {
	r.tells(func(seq int64) []byte { return wire.AppendOnline(nil, seq, batch) })
}

// query asks for the first passed socket under index.
func query(index int) *wire.Query { return &wire.Query{FD: 3, Index: index} }

// listen opens the first passed socket.
func (r *rogue) listen(index int) {
	before := r.now()
	r.tells(func(seq int64) []byte { return wire.AppendQuery(nil, seq, query(index)) })
	h := r.await(func(h heard) bool { return h.granted > before.granted || h.refused > before.refused })
	if h.granted == before.granted {
		r.tell("bad: the listener was refused")
	}
	r.tells(func(seq int64) []byte { return wire.AppendListening(nil, seq, query(index)) })
}

// leave closes the listener, and returns when no connection can come any more: an
// envelope without a descriptor is answered after all that was sent before.
func (r *rogue) leave() {
	h := r.now()
	r.tells(func(seq int64) []byte { return wire.AppendClose(nil, seq, h.key) })
	r.say([]byte(`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":1}` + "\n"))
	r.await(func(now heard) bool { return now.nacks > h.nacks })
}

func (r *rogue) now() heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard
}

// await waits until what was heard is as wanted.
func (r *rogue) await(is func(heard) bool) heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !is(r.heard) {
		r.news.Wait()
	}
	return r.heard
}

func (r *rogue) hear(change func(*heard)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.heard)
	r.news.Broadcast()
}

// read hears the master until the channel ends. Descriptors come in the order of
// the lines they belong to.
func (r *rogue) read() {
	lines := wire.NewReader(1 << 20)
	var rights []int
	for {
		awaitChannel(unix.POLLIN)
		n, fds, _, err := sys.Recv(channelFD, lines.Space(), rights)
		if rights = fds; err == unix.EAGAIN {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		lines.Add(n)
		for line, _ := lines.Next(); line != nil; line, _ = lines.Next() {
			var m wire.Message
			if err := wire.Parse(line, &m); err != nil {
				r.tell("bad: the master says %.80q", line)
			}
			if m.Kind == wire.NewConn {
				m.N = 1
			}
			n := min(m.N, len(rights))
			r.message(&m, rights[:n:n])
			rights = rights[n:]
		}
	}
}

func (r *rogue) message(m *wire.Message, fds []int) {
	switch m.Kind {
	case wire.NewConn, wire.NewConns:
		for _, fd := range fds {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				r.tell("bad: a connection came with flags %#x, %v: blocking", flags, err)
			}
		}
		if given := r.given.Load(); given != nil {
			r.hear(func(h *heard) { h.conns += len(fds) })
			(*given)(r, m, fds)
			return
		}
		r.refuse(m, fds)
	case wire.HandleAck:
		r.hear(func(h *heard) { h.acks++ })
	case wire.HandleNack:
		r.hear(func(h *heard) { h.nacks++ })
	case wire.Answer:
		r.hear(func(h *heard) {
			if m.Errno != 0 {
				h.refused++
			} else if m.Key != "" {
				h.granted, h.key = h.granted+1, m.Key
			}
		})
	case wire.Disconnect:
		if !r.deaf.Load() {
			os.Exit(0)
		}
	}
}

// answer answers for the connections of m, after the ACK that an envelope wants.
func (r *rogue) answer(m *wire.Message, accepted bool) {
	r.tells(func(seq int64) []byte {
		var b []byte
		if m.Envelope {
			b = append(b, wire.HandleAckLine...)
		}
		return wire.AppendAnswer(b, seq, m.Seq, accepted, nil)
	})
}

func (r *rogue) refuse(m *wire.Message, fds []int) {
	for _, fd := range fds {
		sys.Close(fd)
	}
	r.answer(m, false)
}

// serve answers the requests on connections that were accepted.
func (r *rogue) serve(fds []int) {
	for _, fd := range fds {
		f := sys.NewFile(fd, "connection")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			r.tell("bad: a connection is none: %v", err)
			continue
		}
		who := ledger.Who{Worker: 1, PID: os.Getpid(), Generation: 1}
		srv := &http.Server{Handler: ledger.Handler(who)}
		srv.SetKeepAlivesEnabled(false)
		go srv.Serve(&one{conn: c}) // ends with the process
	}
}

// one is a listener of one connection.
type one struct{ conn net.Conn }

func (l *one) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, errors.New("there is no other connection")
	}
	c := l.conn
	l.conn = nil
	return c, nil
}
func (l *one) Close() error   { return nil }
func (l *one) Addr() net.Addr { return &net.TCPAddr{} }

// orphanWorker is what a rogue leaves behind: it holds the channel and talks on it
// until the stage ends.
func orphanWorker() int {
	go func() { // ends with the channel, at the latest with the process
		for {
			awaitChannel(unix.POLLOUT)
			if _, err := sys.Send(channelFD, []byte("left behind\n"), nil); err != nil && err != syscall.EAGAIN {
				return
			}
		}
	}()
	return idle()
}
