package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/internal/sys"
)

func TestAStoreTellsWhatDoesNotFit(t *testing.T) {
	var log bytes.Buffer
	s := makeStore(newTeller(nil, slog.New(slog.DiscardHandler), nil), slog.New(slog.NewTextHandler(&log, nil)), 2, 3)
	s.kept["state"] = 0
	s.enter("w0.chan")
	s.enter("w1.chan")
	s.Drop("w0.chan")
	s.enter("w2.chan")
	if err := s.suffices(); err != nil || log.Len() > 0 {
		t.Errorf("of a store that is as large as what is kept: %v, %s", err, &log)
	}
	s.enter("w3.chan")
	s.enter("w4.chan")
	if n := strings.Count(log.String(), "store is full"); n != 1 {
		t.Errorf("it is said %d times that the store is full, want once: %s", n, &log)
	}
	if err := s.suffices(); err == nil {
		t.Error("the master may leave, and a worker is not kept")
	}
	if err := (backend{store: s}).Leave(t.Context()); err == nil {
		t.Error("the master left, and a worker is not kept")
	}
	s.Drop("w1.chan") // which was kept: what was not kept, still is not
	s.Drop("w3.chan")
	if err := s.suffices(); err == nil {
		t.Error("the master may leave, and one of two workers that did not fit lives")
	}
	s.Drop("w4.chan")
	if err := s.suffices(); err != nil {
		t.Errorf("when what did not fit has gone: %v", err)
	}
	s.enter("w5.chan") // in the place of w1
	if err := s.suffices(); err != nil {
		t.Errorf("of what fits again: %v", err)
	}
	s.enter("w6.chan")
	if err := s.suffices(); err == nil {
		t.Error("the master may leave, and a worker did not fit again")
	}
	log.Reset()
	s = makeStore(s.teller, s.log, 5, 3)
	s.complain()
	for _, name := range []string{"a", "b", "c", "d"} {
		s.enter(name)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "too small") {
		t.Errorf("of a store that the settings do not fit in: %s", &log)
	}
	if err := (*store)(nil).suffices(); err != nil {
		t.Errorf("where there is no store: %v", err)
	}
}

// A drop-in may make the store smaller than what its unit tells.
func TestAStoreThatIsSmallerThanToldTellsWhatDidNotFit(t *testing.T) {
	s := makeStore(newTeller(nil, slog.New(slog.DiscardHandler), nil), slog.New(slog.DiscardHandler), 2, 9)
	s.kept["was there"] = 0
	for _, name := range []string{"state", "w1.chan", "w2.chan", "w3.chan"} {
		s.enter(name)
	}
	s.size = 3
	s.shrunk()
	s.Drop("was there")
	s.Drop("w2.chan")
	if err := s.suffices(); err == nil {
		t.Error("the master may leave, and w3 is not kept")
	}
	s.Drop("w3.chan")
	if err := s.suffices(); err != nil {
		t.Errorf("when what did not fit has gone: %v", err)
	}
	s.kept = map[string]int{"w1.chan": 0, "w2.chan": 0, "w3.chan": 0, "state": 0}
	if err := s.suffices(); err == nil {
		t.Error("the master may leave, and an upgrade handed over more than the store has room for")
	}
}

func TestAStoreTellsWhatTheManagerWasNotGiven(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(newHome(t).dir, "nobody"))
	n, err := notify.New()
	if err != nil {
		t.Skipf("not checked with a service manager: %v", err)
	}
	defer n.Close()
	var log bytes.Buffer
	s := makeStore(nil, slog.New(slog.NewTextHandler(&log, nil)), 0, 9)
	s.teller = newTeller(n, s.log, nil)
	given := func(name string, fd int, named string) {
		t.Helper()
		log.Reset()
		s.Keep(name, fd)
		s.teller.send()
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "listener="+name) {
			t.Errorf("the log does not name %s once: %s", name, &log)
		}
		if err := s.suffices(); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("the master may leave, or not for %s: %v", named, err)
		}
	}
	given("w1.chan", int(os.Stderr.Fd()), "w1.chan")
	s.Drop("w1.chan")
	given("w2.pid", -1, "w2.pid") // cannot be duplicated
	s.Drop("w2.pid")
	if err := s.suffices(); err != nil {
		t.Errorf("with what was not kept gone: %v", err)
	}
}

func TestWhatTheKernelHasNoMeansForIsGivenAgain(t *testing.T) {
	for _, short := range []error{unix.ENOBUFS, unix.ENOMEM, unix.ETOOMANYREFS} {
		s := makeStore(nil, slog.New(slog.DiscardHandler), 0, 9)
		s.teller = newTeller(nil, s.log, nil)
		keep := func(succeedsAfter int) (tries int) {
			fd, err := sys.DupFile(os.Stderr)
			if err != nil {
				t.Fatal(err)
			}
			s.teller.queue(s.giving("state", fd, func(string, ...int) error {
				if tries++; tries > succeedsAfter {
					return nil
				}
				return fmt.Errorf("send: %w", short)
			}), true)
			for s.teller.send() {
			}
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
				t.Errorf("the descriptor was not closed: %v", err)
			}
			return tries
		}
		if tries := keep(3); tries != 4 || s.suffices() != nil {
			t.Errorf("%v: given %d times, and %v, want 4", short, tries, s.suffices())
		}
		if tries := keep(1 << 20); tries != shortTries || s.suffices() == nil {
			t.Errorf("%v without end: given %d times, and %v, want %d times", short, tries, s.suffices(), shortTries)
		}
	}
}
