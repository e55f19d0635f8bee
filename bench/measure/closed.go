package measure

import (
	"context"
	"errors"
	"fmt"

	"github.com/rondokit/rondo/bench/load"
	"github.com/rondokit/rondo/bench/proc"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// perRequest is how many requests a side answers, each on a connection of its own.
func perRequest() Measure {
	return Measure{
		Name: "per-request", Title: "A connection per request",
		About:   "Closed loop: wrk with 64 clients, `Connection: close`.",
		Metrics: closedMetrics, Subjects: each(everybody(), closedLoop(load.PerRequest)),
	}
}

// apart is perRequest where the client does not take processors from the side: what a
// request costs, where neither of them waits for the other.
func apart() Measure {
	sides := []side.Side{goAlone, goRondo1, goRondo, side.HAProxy(), side.Nginx(), side.SocketProxyd(), nodeAlone, nodeRondo, clusterRR}
	m := Measure{
		Name: "apart", Title: "A connection per request, the client apart",
		About: "The same, the client on one half of the processors and the side on the other. wrk takes some CPU time for a request as well: " +
			"where that is more than the side's, requests a second tell what wrk can do, and CPU time what a request costs.",
		Metrics: closedMetrics,
	}
	for _, s := range sides {
		m.Subjects = append(m.Subjects, Subject{s.Name, s.Title, func(ctx context.Context, b *Bench) (Values, error) {
			return ranApart(ctx, b, s)
		}})
	}
	return m
}

func ranApart(ctx context.Context, b *Bench, s side.Side) (v Values, err error) {
	measured, client, err := proc.Apart()
	if err != nil {
		return nil, err
	}
	var r *side.Running
	if err := proc.On(measured, func() (err error) {
		r, err = s.Start(ctx, b.Host)
		return err
	}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	err = proc.On(client, func() (err error) {
		v, err = closedLoop(load.PerRequest)(ctx, b, r)
		return err
	})
	return v, err
}

// kept is how many requests a side answers on connections that stay.
func kept() Measure {
	return Measure{
		Name: "kept", Title: "Kept connections",
		About:   "Closed loop: wrk with 64 connections.",
		Metrics: closedMetrics, Subjects: each(everybody(), closedLoop(load.Kept)),
	}
}

var closedMetrics = []result.Metric{
	{Name: "rate", Title: "requests", Unit: "1/s"},
	{Name: "switches", Title: "context switches per request", Unit: ""},
	{Name: "cpu", Title: "CPU time per request", Unit: "µs"},
	{Name: "client", Title: "the client's", Unit: "µs"},
}

// closedLoop gives what all processes of a side together did.
func closedLoop(c load.Connections) func(context.Context, *Bench, *side.Running) (Values, error) {
	return func(ctx context.Context, b *Bench, r *side.Running) (Values, error) {
		if err := b.warmUp(ctx, c, r); err != nil {
			return nil, err
		}
		before, err := used(r)
		if err != nil {
			return nil, err
		}
		got, err := b.loaded(ctx, c, r)
		if err != nil {
			return nil, err
		}
		after, err := used(r)
		if err != nil {
			return nil, err
		}
		use, n := after.Since(before), float64(got.Requests)
		return Values{"rate": got.Rate(), "switches": float64(use.Switches) / n, "cpu": micro(use.CPU) / n,
			"client": micro(got.CPU) / n}, nil
	}
}

// used is what all processes of a side have used.
func used(r *side.Running) (proc.Threads, error) {
	pids, err := r.Pids()
	if err != nil {
		return nil, err
	}
	return proc.Of(pids...)
}

// warmUp is a closed loop that is not counted. It ends with so many answers that Node has
// compiled what it runs: two workers need more than twice those that one needs, and gain
// as much again as they had in their first second.
func (b *Bench) warmUp(ctx context.Context, c load.Connections, r *side.Running) error {
	enough := pick(b.Plan, 200, 10_000)
	for answers, tries := 0, 0; answers < enough && tries < 40; tries++ {
		got, err := load.Closed{Connections: c, For: b.Plan.Warm}.Run(ctx, r.Address())
		if err != nil {
			return err
		}
		answers += got.Requests
	}
	return nil
}

// loaded is a closed loop that got answers. Where the machine is too busy for any, it
// goes on for longer.
func (b *Bench) loaded(ctx context.Context, c load.Connections, r *side.Running) (load.Closings, error) {
	var sum load.Closings
	for range 10 {
		got, err := load.Closed{Connections: c, For: b.Plan.Run}.Run(ctx, r.Address())
		if err != nil {
			return load.Closings{}, err
		}
		sum.Requests += got.Requests
		sum.CPU += got.CPU
		if sum.Took += got.Took; sum.Requests > 0 {
			return sum, nil
		}
	}
	return load.Closings{}, fmt.Errorf("no request was answered in %v", sum.Took)
}
