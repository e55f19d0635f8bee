package worker

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// guard bounds what a test waits for, so that a hang is a failure with a stack.
const guard = 20 * time.Second

// fakeMaster is the other end of a channel, one message at a time, so that a test
// chooses every interleaving.
type fakeMaster struct {
	t     *testing.T
	file  *os.File
	raw   syscall.RawConn
	lines *wire.Reader
	seq   int64
	peers net.Listener // where connections for the worker come from
}

// newMaster gives a master and the worker's end of its channel.
func newMaster(t *testing.T) (*fakeMaster, int) {
	t.Helper()
	census(t)
	ours, theirs, err := sys.Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	m := &fakeMaster{t: t, file: sys.NewFile(ours, "master"), lines: wire.NewReader(1 << 20)}
	if m.raw, err = m.file.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	if m.peers, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	return m, theirs
}

// close ends the channel as a dying master does.
func (m *fakeMaster) close() {
	m.file.Close()
	m.peers.Close()
}

// joinMaster makes this process's worker of a new master. The worker leaves when the test ends.
func joinMaster(t *testing.T, config Config) (*fakeMaster, *Worker) {
	t.Helper()
	m, fd := newMaster(t)
	w, err := join(config, environment{fd: fd, id: 7, slot: 2, generation: 3, rondo: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.close()
		w.Leave(t.Context())
	})
	if got := m.next(); got.Kind != wire.Online || got.Seq != 0 || got.Batch != wire.MaxBatch {
		t.Fatalf("first message = %+v, want online with seq 0 and the batch extension", got)
	}
	return m, w
}

// write sends b with fds on its first byte.
func (m *fakeMaster) write(b []byte, fds ...int) {
	m.t.Helper()
	for len(b) > 0 {
		var n int
		var err error
		werr := m.raw.Write(func(fd uintptr) bool {
			n, err = sys.Send(int(fd), b, fds)
			return err != syscall.EAGAIN
		})
		if err = errors.Join(err, werr); err != nil {
			m.t.Fatalf("master: write: %v", err)
		}
		b, fds = b[n:], nil
	}
}

// next waits for the worker's next line.
func (m *fakeMaster) next() wire.Message {
	m.t.Helper()
	got, err := m.read()
	if err != nil {
		m.t.Fatalf("master: next message: %v", err)
	}
	return got
}

// end waits for the end of the channel and fails on any line before it.
func (m *fakeMaster) end() {
	m.t.Helper()
	if got, err := m.read(); err != io.EOF {
		m.t.Fatalf("master: got %+v, %v; want the end of the channel", got, err)
	}
}

func (m *fakeMaster) read() (wire.Message, error) {
	m.file.SetReadDeadline(time.Now().Add(guard))
	for {
		line, err := m.lines.Next()
		if line != nil || err != nil {
			var got wire.Message
			if err == nil {
				err = wire.Parse(append([]byte(nil), line...), &got)
			}
			return got, err
		}
		n, err := m.file.Read(m.lines.Space())
		if err != nil {
			return wire.Message{}, err
		}
		m.lines.Add(n)
	}
}

// want waits for a message of a kind.
func (m *fakeMaster) want(kind wire.Kind) wire.Message {
	m.t.Helper()
	got := m.next()
	if got.Kind != kind {
		m.t.Fatalf("worker sent %+v, want kind %d", got, kind)
	}
	return got
}

// answer waits for the answer to the message ack.
func (m *fakeMaster) answer(ack int64) wire.Message {
	m.t.Helper()
	got := m.want(wire.Answer)
	if got.Ack != ack {
		m.t.Fatalf("worker answered %d, want %d", got.Ack, ack)
	}
	return got
}

func (m *fakeMaster) nextSeq() int64 {
	m.seq++
	return m.seq - 1
}

// connection gives a peer's end and the descriptor of an accepted connection.
func (m *fakeMaster) connection() (peer net.Conn, fd int) {
	m.t.Helper()
	peer, err := net.Dial(m.peers.Addr().Network(), m.peers.Addr().String())
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { peer.Close() })
	conn, err := m.peers.Accept()
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	if fd, err = sys.DupFile(conn.(syscall.Conn)); err != nil {
		m.t.Fatal(err)
	}
	return peer, fd
}

// handOver sends n connections for key in one batch.
func (m *fakeMaster) handOver(key string, n int) (peers []net.Conn, seq int64) {
	m.t.Helper()
	var fds []int
	for range n {
		peer, fd := m.connection()
		peers, fds = append(peers, peer), append(fds, fd)
	}
	seq = m.nextSeq()
	m.write(wire.AppendNewConns(nil, wire.Quote(key), seq, n), fds...)
	closeAll(fds)
	return peers, seq
}

// handOverOne sends one connection as Node does.
func (m *fakeMaster) handOverOne(key string) (peer net.Conn, seq int64) {
	m.t.Helper()
	peer, fd := m.connection()
	seq = m.nextSeq()
	m.write(wire.AppendNewConn(nil, wire.Quote(key), seq), fd)
	closeAll([]int{fd})
	return peer, seq
}

// reply answers a query with key and the address that was asked for.
func (m *fakeMaster) reply(q wire.Message, key string) {
	m.t.Helper()
	name := &wire.Sockname{Address: q.Query.Address, Family: "IPv4", Port: q.Query.Port}
	if q.Query.Type == wire.Pipe {
		name = nil
	}
	m.write(wire.AppendReply(nil, m.nextSeq(), q.Seq, key, 0, nil, name))
}

// listen lets w listen on an address under key.
func (m *fakeMaster) listen(w *Worker, key string) net.Listener {
	m.t.Helper()
	var l net.Listener
	done := make(chan error, 1)
	go func() {
		var err error
		l, err = w.Listen(m.t.Context(), "tcp", "127.0.0.1:80")
		done <- err
	}()
	m.reply(m.want(wire.QueryServer), key)
	m.want(wire.Listening)
	if err := <-done; err != nil {
		m.t.Fatal(err)
	}
	return l
}

// disconnect tells the worker to drain and waits for the close of each key.
func (m *fakeMaster) disconnect(keys int) {
	m.t.Helper()
	m.write(wire.AppendDisconnect(nil, m.nextSeq()))
	for range keys {
		m.want(wire.Close)
	}
}

// taken returns when the worker has taken what was written: the socket is empty.
func (m *fakeMaster) taken(w *Worker) {
	m.t.Helper()
	for deadline := time.Now().Add(guard); ; runtime.Gosched() {
		var ready int
		var err error
		w.channel.raw.Control(func(fd uintptr) {
			ready, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		})
		if err != nil && err != unix.EINTR {
			m.t.Fatal(err)
		}
		if err == nil && ready == 0 {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatal("the worker does not read")
		}
	}
}

// logTo gives a logger that writes to w.
func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
