package measure

import (
	"context"
	"time"

	"github.com/rondokit/rondo/bench/load"
	"github.com/rondokit/rondo/bench/proc"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// idle is how often the master runs while nothing happens. It is watched for longer
// than any of its timers takes.
func idle(p Plan) Measure {
	return Measure{
		Name: "idle", Title: "Wake-ups of the idle master",
		About: "Context switches of all its threads, from ten seconds after a load on, when its memory has been given back, without a watchdog. " +
			"Of Node's cluster the primary process, of pm2 its daemon.",
		Metrics:  []result.Metric{{Name: "wakeups", Title: "wake-ups", Unit: "1/s"}},
		Rounds:   pick(p, 1, 3),
		Subjects: each(pick(p, []side.Side{goRondo}, []side.Side{goRondo, nodeRondo, clusterRR, pm2}), wakeups),
	}
}

func wakeups(ctx context.Context, b *Bench, r *side.Running) (Values, error) {
	if err := b.warmUp(ctx, load.PerRequest, r); err != nil {
		return nil, err
	}
	if err := pass(ctx, pick(b.Plan, time.Second, 10*time.Second)); err != nil {
		return nil, err
	}
	before, err := proc.Of(r.Master)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := pass(ctx, pick(b.Plan, 10*time.Second, 20*time.Second)); err != nil {
		return nil, err
	}
	after, err := proc.Of(r.Master)
	if err != nil {
		return nil, err
	}
	return Values{"wakeups": float64(after.Since(before).Switches) / time.Since(began).Seconds()}, nil
}

// pass lets time pass: nothing is to happen in it.
func pass(ctx context.Context, long time.Duration) error {
	select {
	case <-time.After(long):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
