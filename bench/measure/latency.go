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
			goAlone, goRondo, masterAs(side.Batch), masterAs(side.Other), side.HAProxy(), side.Nginx(),
		}, atHalfLoad(load.PerRequest)),
	}
}

// latencyKept is the same rate on connections that stay.
func latencyKept() Measure {
	return Measure{
		Name: "latency-kept", Title: "Latency, kept connections",
		About:    "The same rate on kept connections.",
		Metrics:  latencyMetrics,
		Subjects: each([]side.Side{goAlone, goRondo, side.HAProxy(), side.Nginx()}, atHalfLoad(load.Kept)),
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

func atHalfLoad(c load.Connections) func(context.Context, *Bench, *side.Running) (Values, error) {
	return func(ctx context.Context, b *Bench, r *side.Running) (Values, error) {
		rate, err := b.halfLoad(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := (load.Constant{Connections: c, Rate: rate, For: b.Plan.Warm}).Run(ctx, r.Address()); err != nil {
			return nil, err
		}
		long := 2 * b.Plan.Run
		got, err := load.Constant{Connections: c, Rate: rate, For: long}.Run(ctx, r.Address())
		if err := errors.Join(err, got.Whole()); err != nil {
			return nil, err
		}
		return Values{
			"p50": micro(got.Quantile(0.5)), "p99": micro(got.Quantile(0.99)), "p999": micro(got.Quantile(0.999)),
			"rate": float64(got.Count()) / long.Seconds(), "late": micro(got.Late(0.99)),
		}, nil
	}
}

// halfLoad is half of the connections per second that the Go app takes alone from the
// client that measures latencies, the same for all that is measured: the median of five
// tries.
func (b *Bench) halfLoad(ctx context.Context) (rate int, err error) {
	if b.half > 0 {
		return b.half, nil
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
	b.half = max(1, int(stat.Summarize(rates).Median/2))
	return b.half, nil
}
