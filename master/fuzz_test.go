package master

import (
	"bytes"
	"testing"

	"github.com/rondokit/rondo/internal/wire"
)

// FuzzWorkerLines has one worker say anything, line by line, between connections:
// no input makes the table panic, write a line that is too long, or forget a
// connection, and its neighbour is served throughout.
func FuzzWorkerLines(f *testing.F) {
	for _, lines := range []string{
		`{"cmd":"NODE_HANDLE_ACK"}` + "\n" + `{"cmd":"NODE_CLUSTER","ack":1,"accepted":true,"seq":3}`,
		`{"cmd":"NODE_CLUSTER","ack":1,"accepted":true,"refused":[0],"seq":3}` + "\n" + `{"cmd":"NODE_HANDLE_NACK"}`,
		`{"cmd":"NODE_CLUSTER","act":"queryServer","index":1,"data":null,"address":"/tmp/\u0000abc","port":-1,"addressType":-1,"seq":1}`,
		`{"cmd":"NODE_CLUSTER","act":"queryServer","index":1,"address":null,"port":0,"addressType":4,"seq":1}` + "\n" + `{"cmd":"NODE_CLUSTER","act":"close","key":"null:80:4:null:0","seq":2}`,
		`{"cmd":"NODE_CLUSTER","act":"queryServer","fd":3,"data":{"ticketKeys":"00"},"seq":1}` + "\n" + `{"cmd":"NODE_CLUSTER","act":"listening","fd":3,"seq":2}`,
		`{"cmd":"NODE_CLUSTER","act":"queryServer","rondo":{"name":"web"},"seq":1}` + "\n" + `{"cmd":"NODE_CLUSTER","act":"online","rondo":{"batch":9},"seq":0}`,
		`{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":3}` + "\n" + `"ready"`,
		`{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","act":"newconn"}}` + "\n" + `garbage`,
	} {
		f.Add([]byte(lines))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, batch := range []int{0, 4} {
			s, l := serveAs(t, standard(2), batch)
			rogue, other := s.peer(0), s.peer(1)
			rogue.wild = true
			s.arrive(l, 3)
			for line := range bytes.SplitSeq(input, []byte("\n")) {
				rogue.keys = nil
				var m wire.Message
				if err := wire.Parse(line, &m); err != nil {
					s.turn(event{kind: evGarbage, worker: rogue.id, err: err})
				} else {
					s.turn(event{kind: evMessage, worker: rogue.id, msg: &m})
				}
				s.arrive(l, 1)
				for len(other.owed) > 0 {
					s.accepts(other)
				}
				if s.waiting[l] > 0 || len(l.held) > 0 {
					t.Fatalf("%d connections wait in the kernel and %d here, and worker 2 has room", s.waiting[l], len(l.held))
				}
			}
			s.dies(rogue)
			for len(other.owed) > 0 {
				s.accepts(other)
			}
			if len(s.open) > 0 {
				t.Fatalf("the connections %v are left over", s.open)
			}
		}
	})
}
