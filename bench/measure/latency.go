package measure

import (
	"context"
	"errors"

	"github.com/rondokit/rondo/bench/load"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
	"github.com/rondokit/rondo/bench/stat"
)

// latency is how long an answer takes at half of what the Go app does alone.
func latency() Measure {
	return Measure{
		Name: "latency", Title: "Latency at half load, a connection per request",
		About: "Open loop: vegeta at a constant rate, half of what the same client got from the Go app alone in a closed loop, " +
			"measured at the beginning. From the connect to the end of the answer.",
		Metrics: latencyMetrics,
		Subjects: each([]side.Side{
			goAlone, goRondo, masterAs(side.Other), goBatch, side.HAProxy(), side.Nginx(),
		}, atLoad(half, load.PerRequest)),
	}
}

// latencyLight is where no processor is waited for: what the way over the master takes.
func latencyLight() Measure {
	return Measure{
		Name: "latency-light", Title: "Latency at a tenth of the load, a connection per request",
		About:   "The same at a tenth of what the Go app takes alone, where the client and the app leave the processors idle most of the time.",
		Metrics: latencyMetrics,
		Subjects: each([]side.Side{
			goAlone, goRondo, masterAs(side.Other), goBatch, side.HAProxy(), nodeAlone, nodeRondo, clusterRR,
		}, atLoad(tenth, load.PerRequest)),
	}
}

// latencyKept is the same rate on connections that stay.
func latencyKept() Measure {
	return Measure{
		Name: "latency-kept", Title: "Latency, kept connections",
		About:    "The same rate on kept connections.",
		Metrics:  latencyMetrics,
		Subjects: each([]side.Side{goAlone, goRondo, goBatch, side.HAProxy(), side.Nginx()}, atLoad(half, load.Kept)),
	}
}

// masterAs is rondo, its master under a policy whatever rondo itself makes of it.
func masterAs(p side.Policy) side.Side {
	return side.Rondo{App: side.Go, Workers: workers, Policy: p}.Side()
}

var latencyMetrics = []result.Metric{
	{Name: "p50", Title: "p50", Unit: "µs"},
	{Name: "p99", Title: "p99", Unit: "µs"},
	{Name: "p999", Title: "p99.9", Unit: "µs"},
	{Name: "rate", Title: "requests", Unit: "1/s"},
	{Name: "late", Title: "sent late by the client, p99", Unit: "µs"},
}

// The loads, as what the Go app takes alone is divided by.
const (
	half  = 2
	tenth = 10
)

func atLoad(part float64, c load.Connections) func(context.Context, *Bench, *side.Running) (Values, error) {
	return func(ctx context.Context, b *Bench, r *side.Running) (Values, error) {
		whole, err := b.wholeLoad(ctx)
		if err != nil {
			return nil, err
		}
		rate := max(1, int(whole/part))
		if _, err := (load.Constant{Connections: c, Rate: rate, For: b.Plan.Warm}).Run(ctx, r.Address()); err != nil {
			return nil, err
		}
		got, err := load.Constant{Connections: c, Rate: rate, For: 2 * b.Plan.Run}.Run(ctx, r.Address())
		if err := errors.Join(err, got.Whole()); err != nil {
			return nil, err
		}
		return Values{
			"p50": micro(got.Quantile(0.5)), "p99": micro(got.Quantile(0.99)), "p999": micro(got.Quantile(0.999)),
			"rate": float64(got.Count()) / got.Took.Seconds(), "late": micro(got.Late(0.99)),
		}, nil
	}
}

// wholeLoad is how many connections per second the Go app takes alone from the client
// that measures latencies, the same for all that is measured: the median of five tries.
func (b *Bench) wholeLoad(ctx context.Context) (rate float64, err error) {
	if b.whole > 0 {
		return b.whole, nil
	}
	r, err := goAlone.Start(ctx, b.Host)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	if err := b.warmUp(ctx, load.PerRequest, r); err != nil {
		return 0, err
	}
	var rates []float64
	for range 5 {
		rate, err := load.Constant{Connections: load.PerRequest, For: b.Plan.Run}.Fastest(ctx, r.Address())
		if err != nil {
			return 0, err
		}
		rates = append(rates, rate)
	}
	b.whole = stat.Summarize(rates).Median
	return b.whole, nil
}
