package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// entry is what the journal was given.
type entry struct {
	message  string
	priority journal.Priority
	fields   map[string]string
}

func TestAttributesBecomeFields(t *testing.T) {
	var got entry
	send := func(message string, priority journal.Priority, fields map[string]string) error {
		got = entry{message, priority, fields}
		return nil
	}
	log := slog.New(&journalHandler{identifier: "app", send: send, fallback: slog.DiscardHandler})
	log = log.With("listener", "http").WithGroup("").WithGroup("g").With("in", 1)
	log.Warn("worker missed its ack", "worker", 3, "took", 2*time.Second, "err", errors.New("a b"), "odd-Key é", "",
		slog.Group("h", "x", true), slog.Group("", "y", 1), slog.Any("", "dropped"))

	want := `worker missed its ack listener=http g_in=1 g_worker=3 g_took=2s g_err="a b" g_odd-Key é="" g_h_x=true g_y=1`
	if got.message != want || got.priority != journal.PriWarning {
		t.Errorf("the message is %q with priority %d, want %q with %d", got.message, got.priority, want, journal.PriWarning)
	}
	fields := map[string]string{
		"SYSLOG_IDENTIFIER": "app", "RONDO_LISTENER": "http", "RONDO_G_IN": "1", "RONDO_G_WORKER": "3", "RONDO_G_TOOK": "2s",
		"RONDO_G_ERR": "a b", "RONDO_G_ODD_KEY__": "", "RONDO_G_H_X": "true", "RONDO_G_Y": "1",
	}
	if fmt.Sprint(got.fields) != fmt.Sprint(fields) {
		t.Errorf("the fields are %v, want %v", got.fields, fields)
	}
	if log.Enabled(t.Context(), slog.LevelDebug) || !log.Enabled(t.Context(), slog.LevelInfo) {
		t.Error("debug is enabled, or info is not")
	}
}

func TestLevelsBecomePriorities(t *testing.T) {
	for level, want := range map[slog.Level]journal.Priority{
		slog.LevelDebug: journal.PriDebug, slog.LevelInfo: journal.PriInfo,
		slog.LevelWarn: journal.PriWarning, slog.LevelError: journal.PriErr, slog.LevelError + 4: journal.PriErr,
	} {
		if got := priorityOf(level); got != want {
			t.Errorf("priorityOf(%v) = %d, want %d", level, got, want)
		}
	}
}

func TestWhatTheJournalDoesNotTakeIsText(t *testing.T) {
	var text bytes.Buffer
	broken := func(string, journal.Priority, map[string]string) error { return errors.New("no journal") }
	log := slog.New(&journalHandler{identifier: "app", send: broken, fallback: slog.NewTextHandler(&text, nil)})
	log.With("worker", 3).WithGroup("g").Info("worker died", "slot", 0)
	if !strings.Contains(text.String(), `msg="worker died" worker=3 g.slot=0`) {
		t.Errorf("the fallback wrote %q, want the event and its facts", text.String())
	}
}
