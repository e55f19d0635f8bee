package measure

import (
	"context"
	"errors"
	"time"

	"github.com/rondokit/rondo/bench/load"
	"github.com/rondokit/rondo/bench/proc"
	"github.com/rondokit/rondo/bench/raw"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// handoff is what a connection costs the master, beside what its system calls cost.
func handoff() Measure {
	subjects := []Subject{
		{"raw", "the system calls in a tight loop", rawHandoffs(false)},
		{"raw-last", "the same, where the worker has closed before, and the master's close ends the connection", rawHandoffs(true)},
	}
	return Measure{
		Name: "handoff", Title: "CPU time of the master per handoff",
		About: "Closed loop: wrk with 64 clients, a connection per request. The system calls: accept4, sendmsg with the descriptor, " +
			"recvmsg of the answer, close of the copy, each for 128 connections in a row.",
		Metrics:  []result.Metric{handoffCPU},
		Subjects: append(subjects, each([]side.Side{goRondo1, goRondo, nodeRondo}, handoffs)...),
	}
}

var handoffCPU = result.Metric{Name: "cpu", Title: "CPU time per handoff", Unit: "µs"}

func rawHandoffs(last bool) func(context.Context, *Bench) (Values, error) {
	return func(_ context.Context, b *Bench) (Values, error) {
		took, err := raw.Handoffs(pick(b.Plan, 10_000, 50_000), last)
		return Values{"cpu": micro(took)}, err
	}
}

func handoffs(ctx context.Context, b *Bench, r *side.Running) (Values, error) {
	if err := b.warmUp(ctx, load.PerRequest, r); err != nil {
		return nil, err
	}
	took, err := perHandoff(ctx, r, func() error {
		_, err := b.loaded(ctx, load.PerRequest, r)
		return err
	})
	return Values{"cpu": micro(took)}, err
}

// perHandoff is the processor time of the master, while something happens, for each
// connection that it hands over meanwhile.
func perHandoff(ctx context.Context, r *side.Running, something func() error) (time.Duration, error) {
	first, err := r.HandedOver(ctx)
	if err != nil {
		return 0, err
	}
	before, err := proc.Of(r.Master)
	if err != nil {
		return 0, err
	}
	if err := something(); err != nil {
		return 0, err
	}
	after, err := proc.Of(r.Master)
	if err != nil {
		return 0, err
	}
	last, err := r.HandedOver(ctx)
	if err != nil {
		return 0, err
	}
	if last <= first {
		return 0, errors.New("nothing was handed over")
	}
	return after.Since(before).CPU / time.Duration(last-first), nil
}
