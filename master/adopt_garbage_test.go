package master

import (
	"errors"
	"testing"
	"time"
)

// A line of which the last master left a damaged beginning may have been the answer to
// the probe.
func TestAProbeIsRepeatedAfterALineThatIsNone(t *testing.T) {
	s := kept(t)
	p := s.peers[1]
	s.crash(aftermath{})
	s.took()
	p.wild, p.owed = true, nil // the answer, which the garbage has swallowed
	s.turn(event{kind: evGarbage, worker: s.worker(p).id, err: errors.New("sent a line that is not JSON")})
	s.pass(probeEvery)
	s.expect(t, "a line that is none", "probe", "probe 1")
	s.everyoneAccepts()
	s.turn(event{kind: evGarbage, worker: s.worker(p).id, err: errors.New("sent a line that is not JSON")})
	s.pass(time.Second)
	s.expect(t, "it has answered", "probe")
}
