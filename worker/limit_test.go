package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

func init() {
	roles["limited"] = roleLimited
}

// room is how many more descriptors the limited worker may open.
const room = 8

// roleLimited listens as a worker with few descriptors. Each line on stdin is a
// command: "accept" takes one connection, greets the peer and keeps it; "close"
// closes all that are kept. Each is answered by a line.
func roleLimited() int {
	w, err := Join(Config{})
	if err != nil {
		return fail(err)
	}
	l, err := w.Listen(context.Background(), "tcp", "127.0.0.1:80")
	if err != nil {
		return fail(err)
	}
	if err := limitDescriptors(); err != nil {
		return fail(err)
	}
	fmt.Println("limited")
	var kept []net.Conn
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "accept":
			conn, err := l.Accept()
			if err != nil {
				return fail(err)
			}
			io.WriteString(conn, "!")
			kept = append(kept, conn)
		case "close":
			for _, conn := range kept {
				conn.Close()
			}
			kept = nil
		}
		fmt.Println("done")
	}
	return 0
}

// limitDescriptors allows room more than are open.
func limitDescriptors() error {
	var last uintptr
	for range room { // the numbers that are free
		f, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		defer f.Close()
		last = max(last, f.Fd())
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = uint64(last) + 1
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// limited is the worker of roleLimited as its test sees it.
type limited struct {
	*fakeMaster
	in  io.Writer
	out *bufio.Reader
}

func startLimited(t *testing.T) *limited {
	m, fd := newMaster(t)
	theirs := os.NewFile(uintptr(fd), "channel")
	defer theirs.Close()
	cmd := child(context.Background(), "limited", "NODE_CHANNEL_FD=3", "NODE_UNIQUE_ID=1")
	cmd.ExtraFiles = []*os.File{theirs}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the limited worker: %v", err)
		}
	})
	m.want(wire.Online)
	m.reply(m.want(wire.QueryServer), "k")
	m.want(wire.Listening)
	l := &limited{m, in, bufio.NewReader(out)}
	l.line("limited")
	return l
}

func (l *limited) line(want string) {
	l.t.Helper()
	if got, err := l.out.ReadString('\n'); err != nil || got != want+"\n" {
		l.t.Fatalf("the limited worker said %q, %v; want %q", got, err, want)
	}
}

func (l *limited) do(command string) {
	l.t.Helper()
	fmt.Fprintln(l.in, command)
	l.line("done")
}

// greeted fails unless the worker accepted the connection of each peer.
func (l *limited) greeted(peers []net.Conn) {
	l.t.Helper()
	for i, peer := range peers {
		peer.SetReadDeadline(time.Now().Add(guard))
		if _, err := io.ReadFull(peer, []byte{0}); err != nil {
			l.t.Fatalf("connection %d of %d: %v", i, len(peers), err)
		}
	}
}

func TestAWorkerOutOfDescriptorsRefusesAndRecovers(t *testing.T) {
	l := startLimited(t)
	peers, seq := l.handOver("k", room+4)
	got := l.answer(seq)
	if want := []int{room, room + 1, room + 2, room + 3}; !got.Accepted || !slices.Equal(got.Refused, want) {
		t.Fatalf("answer = %+v, want %v refused", got, want)
	}
	if _, fd := l.connection(); fd >= 0 { // the table is full of connections that wait
		l.write(wire.AppendNewConn(nil, wire.Quote("k"), l.nextSeq()), fd)
		sys.Close(fd)
		l.want(wire.HandleNack)
	}
	for range room {
		l.do("accept") // each needs a second descriptor for a moment
	}
	l.greeted(peers[:room])
	_, seq = l.handOver("k", 2)
	if got := l.answer(seq); got.Accepted {
		t.Fatalf("answer = %+v with a full table, want refused", got)
	}
	l.do("close")
	peers, seq = l.handOver("k", 3)
	if got := l.answer(seq); !got.Accepted || got.Refused != nil {
		t.Fatalf("answer = %+v, want all accepted again", got)
	}
	for range peers {
		l.do("accept")
	}
	l.greeted(peers)
}

func TestAConnectionThatAcceptCannotOpenWaits(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k").(*listener)
	peers, seq := m.handOver("k", 1)
	m.answer(seq)
	f := l.next()
	l.putBack(f)
	l.Close()
	m.want(wire.Close)
	echo(t, l, peers[0], 'x')
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
}
