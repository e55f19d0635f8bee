package master

import (
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/wire"
)

func TestAServerThatSentItsSocketsAwayMayClose(t *testing.T) {
	s, _ := serve(t, 1)
	s.took()
	for kind, want := range map[wire.Kind]string{
		wire.SocketsClosed: `line 1 {"cmd":"NODE_SOCKET_ALL_CLOSED","key":"4:127.0.0.1:0"}`,
		wire.SocketCount:   `line 1 {"cmd":"NODE_SOCKET_COUNT","count":0,"key":"4:127.0.0.1:0"}`,
	} {
		s.says(s.peer(0), wire.Message{Kind: kind, Key: "4:127.0.0.1:0", Seq: -1, Ack: -1})
		s.expect(t, "it asks for the sockets that it sent", "line signal", want)
		s.says(s.peer(0), wire.Message{Kind: kind, Key: strings.Repeat("k", wire.MaxLine), Seq: -1, Ack: -1})
		s.expect(t, "it asks with a key that has no room in an answer", "line signal")
	}
}

func TestBunIsEndedBeforeItIsWaitedFor(t *testing.T) {
	s := newStage(t, standard(1))
	s.queries = nil
	s.turn(event{kind: evStart})
	p := s.peer(0)
	s.took()
	s.says(p, wire.Message{Kind: wire.Bun, Ack: -1})
	s.expect(t, "it says a line of Bun", "signal", "signal 1 SIGTERM")
	if got := s.t.slots[0].lastExit.reason; !strings.Contains(got, "takes no connections") {
		t.Errorf("the last exit of the slot is %q", got)
	}
	s.says(p, wire.Message{Kind: wire.Bun, Ack: -1})
	s.expect(t, "it says another one", "signal")
}

func TestAWorkerThatServesMayWriteAsBunDoes(t *testing.T) {
	s, _ := serve(t, 1)
	s.took()
	s.says(s.peer(0), wire.Message{Kind: wire.Bun, Ack: -1})
	s.expect(t, "a line of Bun", "signal")
}
