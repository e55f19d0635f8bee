package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	logRecords = 1024            // wait to be written; above, they are dropped and counted
	logFlush   = 2 * time.Second // how long the end of the program waits for them
)

// logQueue writes log records on a goroutine of its own: whoever reads the log may
// stop (a paused pager, a full pipe), and accepting connections must not.
type logQueue struct {
	records chan logRecord
	dropped atomic.Int64
	ended   chan struct{}
}

type logRecord struct {
	to     slog.Handler
	record slog.Record
}

func newLogQueue() *logQueue {
	q := &logQueue{records: make(chan logRecord, logRecords), ended: make(chan struct{})}
	go q.run() // ends with flush; or with the process, when nobody takes the log
	return q
}

func (q *logQueue) run() {
	defer close(q.ended)
	for r := range q.records {
		if r.to == nil {
			return
		}
		_ = r.to.Handle(context.Background(), r.record) // there is no other place to say it
		if n := q.dropped.Swap(0); n > 0 {
			lost := slog.NewRecord(time.Now(), slog.LevelWarn, "log records dropped: nobody took them", 0)
			lost.AddAttrs(slog.Int64("dropped", n))
			_ = r.to.Handle(context.Background(), lost)
		}
	}
}

// flush writes what waits, for a while. What is logged later is dropped.
func (q *logQueue) flush() {
	limit := time.NewTimer(logFlush)
	defer limit.Stop()
	select {
	case q.records <- logRecord{}:
	case <-limit.C:
		return
	}
	select {
	case <-q.ended:
	case <-limit.C:
	}
}

// asyncHandler is a slog.Handler that never waits for the one behind it.
type asyncHandler struct {
	queue *logQueue
	to    slog.Handler
}

func (h asyncHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.to.Enabled(ctx, l) }

func (h asyncHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return asyncHandler{h.queue, h.to.WithAttrs(attrs)}
}

func (h asyncHandler) WithGroup(name string) slog.Handler {
	return asyncHandler{h.queue, h.to.WithGroup(name)}
}

func (h asyncHandler) Handle(_ context.Context, r slog.Record) error {
	select {
	case h.queue.records <- logRecord{h.to, r.Clone()}:
	default:
		h.queue.dropped.Add(1)
	}
	return nil
}
