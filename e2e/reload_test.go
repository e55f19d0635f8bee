package e2e

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/master"
)

// as is the test binary as a worker of another role than the environment's.
func as(t *testing.T, role string, env ...string) []string {
	return append(append([]string{"env", roleVar + "=" + role}, env...), goCommand(t)...)
}

// deploy starts a service of good workers whose next generation runs command.
func deploy(t *testing.T, workers int, command []string, change func(*settings.Settings)) *service {
	t.Helper()
	now := quick(goCommand(t), workers)
	next := now
	next.Command = command
	if change != nil {
		change(&now)
		change(&next)
	}
	return start(t, master.Config{Settings: now, Next: func(context.Context) (settings.Settings, error) { return next, nil }}, goRole)
}

// refused reloads under load, wants the reload to fail with all of words, and nothing lost.
func refused(t *testing.T, s *service, workers int, words ...string) {
	t.Helper()
	stop := loads(s)
	err := s.Reload(t.Context())
	if err == nil {
		t.Fatal("the reload succeeded, want a failure")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the reload failed with %q, want it to say %q", err, w)
		}
	}
	st := s.until("whole again", func(st master.Status) bool {
		return ready(st) == workers && len(st.Workers) == workers
	})
	stop(t)
	if st.Generation != 1 || st.Reload == nil || st.Reload.State != "failed" || st.Reload.Error == nil {
		t.Errorf("generation %d, reload %+v; want 1 and a failure", st.Generation, st.Reload)
	}
	for _, w := range st.Workers {
		if w.Generation != 1 {
			t.Errorf("worker %+v serves, want only generation 1", w)
		}
	}
}

func TestBrokenProgramIsTakenBackWithItsLastWords(t *testing.T) {
	s := deploy(t, 2, as(t, "fail"), nil)
	refused(t, s, 2, "slot 0", "generation 2", "exited with code 3", "this program is broken")
}

func TestProgramThatIsGoneIsRefused(t *testing.T) {
	s := deploy(t, 2, []string{"/nowhere/server"}, nil)
	refused(t, s, 2, "/nowhere/server")
}

func TestLateWorkerIsTakenBackWithWhatItLacks(t *testing.T) {
	s := deploy(t, 2, as(t, "deaf"), func(s *settings.Settings) { s.StartTimeout = 2 * time.Second })
	refused(t, s, 2, "not ready within 2s", "does not listen on", "predecessor")
}

// TestHalfReplacedGenerationIsTakenBack fails in the second slot: the first, replaced
// already, gets a worker of the old generation again.
func TestHalfReplacedGenerationIsTakenBack(t *testing.T) {
	s := deploy(t, 3, as(t, "failslot", "TEST_FAIL_SLOT=1"), nil)
	refused(t, s, 3, "slot 1", "exited with code 3")
}

func TestSurgeReplacesSeveralAtATime(t *testing.T) {
	s := start(t, master.Config{Settings: func() settings.Settings {
		c := quick(goCommand(t), 4)
		c.Surge = 4
		return c
	}()}, goRole)
	rolling(t, s, 3)
}

func TestSecondReloadMeanwhileIsRefused(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	cfg := master.Config{Settings: quick(goCommand(t), 1)}
	cfg.Next = func(context.Context) (settings.Settings, error) {
		close(began)
		<-goOn
		return quick(goCommand(t), 1), nil
	}
	s := start(t, cfg, goRole)
	first := make(chan error, 1)
	go func() { first <- s.Reload(context.Background()) }() // ends with the reload
	<-began
	if err := s.Reload(t.Context()); !errors.Is(err, master.ErrBusy) {
		t.Errorf("second reload = %v, want %v", err, master.ErrBusy)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Errorf("first reload = %v, want it done", err)
	}
}

func TestKeyThatCannotChangeLiveIsRefusedByName(t *testing.T) {
	s := deploy(t, 1, goCommand(t), nil)
	next := quick(goCommand(t), 1)
	next.Bind = true
	cfg := master.Config{Settings: quick(goCommand(t), 1), Next: func(context.Context) (settings.Settings, error) { return next, nil }}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, cfg, goRole)
	refused(t, s, 1, "bind", "restart")
}

func TestWorkerThatWaitsReadyServesOnlyThen(t *testing.T) {
	cfg := quick(as(t, "waitready"), 2)
	cfg.WaitReady = true
	s := start(t, master.Config{Settings: cfg})
	rolling(t, s, 3)
}

func TestWorkerThatIgnoresEverythingIsKilled(t *testing.T) {
	cfg := quick(as(t, "stubborn"), 1)
	cfg.DrainTimeout, cfg.KillTimeout = 200*time.Millisecond, 200*time.Millisecond
	s := start(t, master.Config{Settings: cfg, Next: func(context.Context) (settings.Settings, error) {
		return quick(as(t, "go"), 1), nil
	}})
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := s.until("rid of the stubborn worker", func(st master.Status) bool { return len(st.Workers) == 1 })
	if st.Reload.Cut != 1 {
		t.Errorf("cut = %d, want 1", st.Reload.Cut)
	}
}

func TestScaleLosesNothing(t *testing.T) {
	s := start(t, master.Config{Settings: quick(goCommand(t), 2)}, goRole)
	stop := loads(s)
	for _, n := range []int{4, 1, 3, 2} {
		if err := s.Scale(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		st := s.until("scaled", func(st master.Status) bool { return ready(st) == n && len(st.Workers) == n })
		if from := st.ScaledFrom; n != 2 && (from == nil || *from != 2) || n == 2 && from != nil {
			t.Errorf("scaled to %d: scaled_from %v", n, from)
		}
	}
	stop(t)
}

// TestStopServesWhatWasAccepted stops a service that bound its own socket, under load:
// what was accepted is answered, later connections are refused, none hangs.
func TestStopServesWhatWasAccepted(t *testing.T) {
	before := takeCensus()
	cfg := master.Config{Settings: quick(as(t, "go", "TEST_LISTEN=127.0.0.1:0"), 2), Env: os.Environ()}
	s := launch(t, cfg, before)
	s.await(func(e master.Event) bool { return e.Ready })
	answered := make(chan struct{}, 1)
	stop := s.load(ledger.Config{Network: "tcp", Address: s.status().Listeners[0].Address, Clients: 8, Seed: seed,
		Failures: 100_000, Answered: func(ledger.Who) {
			select {
			case answered <- struct{}{}:
			default:
			}
		}})
	<-answered
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	r := stop()
	if cut := r.Lost - r.Classes[ledger.Refused]; cut != 0 {
		t.Errorf("%d lost but not refused: %v", cut, r)
	}
}
