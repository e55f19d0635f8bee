package main

import (
	"log/slog"
	"os"

	"github.com/coreos/go-systemd/v22/journal"
)

// journalStream is where journald takes the output of workers.
const journalStream = "/run/systemd/journal/stdout"

// newLogger logs as text to standard error or, when that is the journal, with
// the journal's own fields; then it also returns the path for workers' output. To log
// never waits for the queue that it also gives.
func newLogger(name string) (logger *slog.Logger, workers string, q *logQueue) {
	var to slog.Handler = slog.NewTextHandler(os.Stderr, nil)
	if underJournal() {
		to, workers = &journalHandler{identifier: name, send: journal.Send, fallback: to}, journalStream
	}
	q = newLogQueue()
	return slog.New(asyncHandler{q, to}), workers, q
}

func underJournal() bool {
	is, err := journal.StderrIsJournalStream()
	return err == nil && is
}
