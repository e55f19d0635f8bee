package main

import (
	"log/slog"
	"os"

	"github.com/coreos/go-systemd/v22/journal"
)

// journalStream is where journald takes the output of workers.
const journalStream = "/run/systemd/journal/stdout"

// newLogger logs as text to standard error or, when that is the journal, with
// the journal's own fields; then it also returns the path for workers' output.
func newLogger(name string) (logger *slog.Logger, workers string) {
	text := slog.NewTextHandler(os.Stderr, nil)
	if is, err := journal.StderrIsJournalStream(); err != nil || !is {
		return slog.New(text), ""
	}
	return slog.New(&journalHandler{identifier: name, send: journal.Send, fallback: text}), journalStream
}
