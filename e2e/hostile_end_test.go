package e2e

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"github.com/rondokit/rondo/master"
	"golang.org/x/sys/unix"
)

// lastWords are those of a worker that accepts a connection and dies: the answer is
// behind as much else as the channel holds, descriptors too.
var lastWords = behaviour{apart: true, batch: 1, all: true, given: func(r *rogue, m *wire.Message, fds []int) {
	null, _ := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	r.tell("took")
	word := []byte(`"` + strings.Repeat("x", 200) + `"` + "\n")
	for range 20 {
		r.say(word, null)
		r.say(bytes.Repeat(word, 100))
	}
	r.answer(m, true)
	os.Exit(7)
}}

// TestLastWordsOfADeadWorkerAreHeard wants a connection that a worker has accepted with
// its last breath to be nobody else's: its client loses it, and no other one.
func TestLastWordsOfADeadWorkerAreHeard(t *testing.T) {
	const name, deaths = "last words", 8
	st := newStage(t, name)
	cfg := master.Config{Settings: quick(goCommand(t), 2), Logger: st.log.logger()}
	cfg.Window = 1
	s := start(t, cfg, roleVar+"=hostile", "TEST_STAGE="+st.ln.Addr().String())
	st.service = s
	stop := s.load(ledger.Config{Clients: 4, Seed: seed, Answered: st.answered})
	st.cue("act")
	st.await("gone", deaths)
	r := stop()
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := st.count("took"); r.Lost != took || r.Classes[ledger.Dropped] != took || r.Twice != 0 {
		t.Errorf("%d connections were accepted and died with their worker, and lost are:\n%s", took, r)
	}
}

// floodingWorker never listens, and never stops talking.
func floodingWorker() int {
	if os.Getenv("TEST_FLOOD") == "" {
		return goWorker()
	}
	null, _ := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	line := []byte(cluster + `"act":"queryServer","fd":99,"seq":1}` + "\n")
	for {
		awaitChannel(unix.POLLOUT)
		sys.Send(channelFD, []byte("{\n"), []int{null, null})
		if _, err := sys.Send(channelFD, bytes.Repeat(line, 100), nil); err != nil && err != unix.EAGAIN {
			return 1
		}
	}
}

// TestReloadToAFloodIsTakenBack replaces good workers by ones that only talk.
func TestReloadToAFloodIsTakenBack(t *testing.T) {
	s := deploy(t, 2, as(t, "flood", "TEST_FLOOD=1"), func(s *settings.Settings) {
		s.StartTimeout, s.Surge = time.Second, 2
	})
	refused(t, s, 2, "not ready within 1s", "does not listen on")
}
