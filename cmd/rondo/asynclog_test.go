package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// stuck takes nothing until it is let go.
type stuck struct {
	bytes.Buffer
	goOn, first chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	select {
	case s.first <- struct{}{}:
	default:
	}
	<-s.goOn
	return s.Buffer.Write(p)
}

func TestALogThatNobodyTakesHoldsUpNobody(t *testing.T) {
	w := &stuck{goOn: make(chan struct{}), first: make(chan struct{}, 1)}
	q := newLogQueue()
	log := slog.New(asyncHandler{q, slog.NewTextHandler(w, nil)}).With("worker", 7)
	log.Info("first")
	<-w.first
	for range logRecords + 10 {
		log.Info("more")
	}
	close(w.goOn)
	q.flush()
	text := w.String()
	if got := strings.Count(text, "msg=more worker=7"); got != logRecords {
		t.Errorf("%d records were written, want the %d that had room", got, logRecords)
	}
	if !strings.Contains(text, "dropped=10") {
		t.Errorf("the log does not tell that 10 records were dropped: %.200s", text)
	}
}
