package worker

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

// probe sends one connection and fails unless the worker takes it as its own and
// no other: what came before has shifted no descriptor.
func (m *fakeMaster) probe(l net.Listener) {
	m.t.Helper()
	for _, b := range []byte("12") {
		peers, seq := m.handOver("k", 1)
		if got := m.answer(seq); !got.Accepted {
			m.t.Fatalf("answer = %+v, want accepted", got)
		}
		echo(m.t, l, peers[0], b)
	}
}

// sync returns when the worker has read all that was written before.
func (m *fakeMaster) sync() {
	m.t.Helper()
	seq := m.nextSeq()
	m.write(wire.AppendNewConns(nil, wire.Quote("no such key"), seq, 0))
	m.answer(seq)
}

func TestWhatTheMasterShouldNotSendIsDropped(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for i, line := range []string{
		"", " ", "garbage", "{", "null", "1", `"shutdown"`, `[]`, `{}`,
		`{"cmd":"NODE_"}`, `{"cmd":"NODE_DEBUG_ENABLED"}`, `{"cmd":7}`,
		`{"cmd":"NODE_HANDLE_ACK"}`, `{"cmd":"NODE_HANDLE_NACK"}`,
		`{"cmd":"NODE_CLUSTER"}`, `{"cmd":"NODE_CLUSTER","act":"online","seq":1}`,
		`{"cmd":"NODE_CLUSTER","act":"nonsense","seq":1}`, `{"cmd":"NODE_CLUSTER","act":7}`,
		`{"cmd":"NODE_CLUSTER","ack":0}`, `{"cmd":"NODE_CLUSTER","ack":-1}`,
		`{"cmd":"NODE_CLUSTER","ack":99,"key":"k","errno":null}`,
		`{"cmd":"NODE_CLUSTER","ack":1,"key":"again","errno":0}`, // the query that was answered
		`{"cmd":"NODE_CLUSTER","act":"newconn","key":"k"}`,
		`{"cmd":"NODE_CLUSTER","act":"rondo.newconns","key":"k"}`,
		`{"cmd":"NODE_CLUSTER","act":"rondo.newconns","key":"k","n":-7}`,
		`"` + long + `"`,
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			var log bytes.Buffer
			m, w := joinMaster(t, Config{Logger: logTo(&log)})
			l := m.listen(w, "k")
			m.write([]byte(line + "\n"))
			peer, fd := m.connection() // and once with a descriptor that nobody can mean
			m.write([]byte(line+"\n"), fd)
			sys.Close(fd)
			m.write([]byte(line + "\n"))
			m.probe(l)
			if _, err := peer.Read([]byte{0}); err != io.EOF {
				t.Errorf("peer read %v, want EOF: the descriptor is closed", err)
			}
			if n := strings.Count(log.String(), "\n"); n > 1 {
				t.Errorf("%d lines in the log, want at most one:\n%s", n, &log)
			}
		})
	}
}

func TestANewconnWithoutItsConnectionIsRefused(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	m.write([]byte(`{"cmd":"NODE_CLUSTER","act":"newconn","key":"k","seq":70}` + "\n"))
	if got := m.answer(70); got.Accepted {
		t.Errorf("bare newconn: %+v, want refused", got)
	}
	m.write(wire.AppendNewConn(nil, wire.Quote("k"), 71))
	m.want(wire.HandleNack) // and no answer: the message is dropped
	m.write(wire.AppendNewConns(nil, wire.Quote("k"), 72, 2))
	if got := m.answer(72); got.Accepted {
		t.Errorf("batch without descriptors: %+v, want refused", got)
	}
	m.probe(l)
}

func TestABatchThatLostDescriptorsIsRefusedInPart(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	peer, fd := m.connection()
	m.write(wire.AppendNewConns(nil, wire.Quote("k"), 70, 3), fd)
	sys.Close(fd)
	if got := m.answer(70); !got.Accepted || !slices.Equal(got.Refused, []int{1, 2}) {
		t.Errorf("answer = %+v, want 1 and 2 refused", got)
	}
	echo(t, l, peer, 'x')
	m.probe(l)
}

func TestDescriptorsTooManyAreClosed(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	peer, fd := m.connection()
	extra, surplus := m.connection()
	m.write(wire.AppendNewConns(nil, wire.Quote("k"), 70, 1), fd, surplus)
	closeAll([]int{fd, surplus})
	m.answer(70)
	echo(t, l, peer, 'x')
	m.sync()
	if _, err := extra.Read([]byte{0}); err != io.EOF {
		t.Errorf("peer of the surplus read %v, want EOF", err)
	}
	m.probe(l)
}

func TestEnvelopesOfUnknownContentAreAckedAndClosed(t *testing.T) {
	for i, line := range []string{
		`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":"a message to the application"}`,
		`{"cmd":"NODE_HANDLE","type":"dgram.Native","msg":null}`,
		`{"cmd":"NODE_HANDLE"}`,
		`{"cmd":"NODE_HANDLE","msg":{"cmd":"NODE_CLUSTER","ack":99,"key":"x"}}`,
		`{"cmd":"NODE_HANDLE","msg":{"cmd":"NODE_CLUSTER","act":"newconn","key":"k"}}`, // no seq: no way to answer
		`{"cmd":"NODE_HANDLE","msg":{"cmd":"NODE_HANDLE","msg":{}}}`,
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			m, w := joinMaster(t, Config{})
			l := m.listen(w, "k")
			peer, fd := m.connection()
			m.write([]byte(line+"\n"), fd)
			sys.Close(fd)
			m.want(wire.HandleAck)
			if _, err := peer.Read([]byte{0}); err != io.EOF {
				t.Errorf("peer read %v, want EOF: the descriptor is closed", err)
			}
			m.probe(l)
		})
	}
}

func TestADescriptorBelongsToTheLineThatBeganWithIt(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	for cut := 1; cut < 60; cut += 7 {
		peer, fd := m.connection()
		line := wire.AppendNewConns(nil, wire.Quote("k"), 1000, 1)
		m.write(line[:cut], fd)
		sys.Close(fd)
		m.taken(w)
		m.write(append(line[cut:], `"glued"`+"\n"...))
		if got := m.answer(1000); !got.Accepted || got.Refused != nil {
			t.Fatalf("cut at %d: %+v, want accepted", cut, got)
		}
		echo(t, l, peer, 'x')
	}
	m.probe(l)
}

func TestALineThatLostItsDescriptorTakesNoOtherLines(t *testing.T) {
	m, w := joinMaster(t, Config{})
	l := m.listen(w, "k")
	lost := wire.AppendNewConn(nil, wire.Quote("k"), 1000)
	m.write(lost[:40]) // its descriptor did not fit into the process
	m.taken(w)
	peer, fd := m.connection()
	next := wire.AppendNewConns(nil, wire.Quote("k"), 1001, 1)
	m.write(append(lost[40:], next...), fd) // read at once, as when the worker is slow
	sys.Close(fd)
	m.want(wire.HandleNack)
	if got := m.answer(1001); !got.Accepted {
		t.Fatalf("answer = %+v, want accepted", got)
	}
	echo(t, l, peer, 'x')
	m.probe(l)
}

func TestACutLineIsForgottenWithTheChannel(t *testing.T) {
	m, w := joinMaster(t, Config{})
	peer, fd := m.connection()
	m.write(wire.AppendNewConns(nil, wire.Quote("k"), 70, 1)[:20], fd)
	sys.Close(fd)
	m.file.Close()
	<-w.Draining()
	if _, err := peer.Read([]byte{0}); err != io.EOF {
		t.Errorf("peer read %v, want EOF", err)
	}
}
