package measure

import (
	"context"
	"errors"
	"time"

	"github.com/rondokit/rondo/bench/load"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// reload is what the replacing of all workers takes, and what its visitors notice.
func reload(p Plan) Measure {
	return Measure{
		Name: "reload", Title: "A reload under load",
		About: "Open loop: 500 requests a second, a connection each, while `rondo reload` (`pm2 reload`) runs, " +
			"and half a second before and after.",
		Metrics: []result.Metric{
			{Name: "took", Title: "time of the command", Unit: "ms"},
			{Name: "worst", Title: "worst latency", Unit: "ms"},
			{Name: "failed", Title: "failed requests", Unit: ""},
		},
		Rounds:   pick(p, 1, p.Rounds),
		Subjects: each([]side.Side{goRondo, nodeRondo, pm2}, reloads),
	}
}

const (
	reloadRate   = 500
	reloadMargin = 500 * time.Millisecond
)

func reloads(ctx context.Context, _ *Bench, r *side.Running) (Values, error) {
	loading, end := context.WithCancel(ctx)
	defer end()
	type loaded struct {
		answers load.Answers
		err     error
	}
	done := make(chan loaded, 1)
	go func() { // ends with loading
		a, err := load.Constant{Connections: load.PerRequest, Rate: reloadRate}.Run(loading, r.Address())
		done <- loaded{a, err}
	}()
	took, err := timedReload(ctx, r)
	end()
	got := <-done
	if err := errors.Join(err, got.err); err != nil {
		return nil, err
	}
	if got.answers.Count() == 0 {
		return nil, got.answers.Whole()
	}
	return Values{"took": milli(took), "worst": milli(got.answers.Worst), "failed": float64(got.answers.Failed)}, nil
}

// timedReload reloads r, with some time before and after.
func timedReload(ctx context.Context, r *side.Running) (time.Duration, error) {
	if err := pass(ctx, reloadMargin); err != nil {
		return 0, err
	}
	began := time.Now()
	err := r.Reload(ctx)
	took := time.Since(began)
	return took, errors.Join(err, pass(ctx, reloadMargin))
}
