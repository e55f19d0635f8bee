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
	to      slog.Handler // nil: of no record
	record  slog.Record
	written chan struct{} // closed when all before it are; nil: the last one
}

func newLogQueue() *logQueue {
	q := &logQueue{records: make(chan logRecord, logRecords), ended: make(chan struct{})}
	go q.run() // ends with flush; or with the process, when nobody takes the log
	return q
}

func (q *logQueue) run() {
	defer close(q.ended)
	for r := range q.records {
		switch {
		case r.to != nil:
		case r.written == nil:
			return
		default:
			close(r.written)
			continue
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
func (q *logQueue) flush() { q.await(logRecord{}, q.ended) }

// written waits, for a while, until what waits is written.
func (q *logQueue) written() {
	written := make(chan struct{})
	q.await(logRecord{written: written}, written)
}

// await waits, for a while, until mark has been read and done is closed.
func (q *logQueue) await(mark logRecord, done <-chan struct{}) {
	limit := time.NewTimer(logFlush)
	defer limit.Stop()
	select {
	case q.records <- mark:
	case <-limit.C:
		return
	}
	select {
	case <-done:
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
	case h.queue.records <- logRecord{to: h.to, record: r.Clone()}:
	default:
		h.queue.dropped.Add(1)
	}
	return nil
}
