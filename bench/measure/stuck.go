package measure

import (
	"context"
	"errors"
	"syscall"

	"github.com/rondokit/rondo/bench/load"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// stuck is how many connections are served while one of two workers does nothing.
func stuck() Measure {
	m := Measure{
		Name: "stuck", Title: "One of two workers is stuck",
		About:   "Closed loop: wrk with 64 clients, a connection per request; one worker is stopped (SIGSTOP) before.",
		Metrics: []result.Metric{{Name: "rate", Title: "requests", Unit: "1/s"}},
	}
	for _, s := range []side.Side{goRondo, nodeRondo, clusterRR} {
		m.Subjects = append(m.Subjects, serving(s, allWork))
		m.Subjects = append(m.Subjects, serving(side.Side{Name: s.Name + "-stuck", Title: s.Title + ", one stuck", Start: s.Start}, oneIsStuck))
	}
	return m
}

func allWork(ctx context.Context, b *Bench, r *side.Running) (Values, error) {
	if err := b.warmUp(ctx, load.PerRequest, r); err != nil {
		return nil, err
	}
	got, err := b.loaded(ctx, load.PerRequest, r)
	if err != nil {
		return nil, err
	}
	return Values{"rate": got.Rate()}, nil
}

func oneIsStuck(ctx context.Context, b *Bench, r *side.Running) (v Values, err error) {
	pids, err := r.Workers()
	if err != nil {
		return nil, err
	}
	if len(pids) == 0 {
		return nil, errors.New("there is no worker")
	}
	if err := syscall.Kill(pids[0], syscall.SIGSTOP); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, syscall.Kill(pids[0], syscall.SIGCONT)) }()
	return allWork(ctx, b, r)
}
