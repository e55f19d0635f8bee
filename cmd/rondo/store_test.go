package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAStoreTellsWhatDoesNotFit(t *testing.T) {
	var log bytes.Buffer
	s := &store{log: slog.New(slog.NewTextHandler(&log, nil)), teller: newTeller(nil, slog.New(slog.DiscardHandler), nil), need: 2, size: 3, kept: map[string]bool{"state": true}}
	for i := range 2 {
		s.enter(fmt.Sprintf("w%d.chan", i))
		s.enter(fmt.Sprintf("w%d.chan", i)) // the same
	}
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
	log.Reset()
	s = &store{log: s.log, need: 5, size: 3, kept: map[string]bool{"a": true, "b": true, "c": true}}
	s.complain()
	s.enter("d")
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "too small") {
		t.Errorf("of a store that the settings do not fit in: %s", &log)
	}
	if err := (*store)(nil).suffices(); err != nil {
		t.Errorf("where there is no store: %v", err)
	}
}
