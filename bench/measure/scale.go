package measure

import (
	"context"
	"errors"
	"fmt"

	"github.com/rondokit/rondo/bench/load"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// byWorkers is what a connection costs the master with more and more workers.
func byWorkers(p Plan) Measure {
	var subjects []Subject
	for _, n := range []int{2, 16, 64, 256} {
		s := serving(side.Rondo{App: side.Go, Workers: n}.Side(), handoffsAtRate)
		s.Title = fmt.Sprintf("%d workers", n)
		subjects = append(subjects, s)
	}
	return Measure{
		Name: "workers", Title: "CPU time of the master per handoff, by workers",
		About:   "Open loop: 1000 requests a second, a connection each.",
		Metrics: []result.Metric{handoffCPU}, Rounds: pick(p, 1, p.Rounds), Subjects: subjects,
	}
}

// bySockets is the same with more and more listening sockets.
func bySockets(p Plan) Measure {
	var subjects []Subject
	for _, n := range pick(p, []int{1, 100}, []int{1, 100, 1000}) {
		s := serving(side.Rondo{App: side.Go, Workers: workers, Sockets: n}.Side(), handoffsAtRate)
		if s.Title = fmt.Sprintf("%d sockets", n); n == 1 {
			s.Title = "1 socket"
		}
		subjects = append(subjects, s)
	}
	return Measure{
		Name: "sockets", Title: "CPU time of the master per handoff, by sockets",
		About:   "Open loop: 1000 requests a second, a connection each, on the sockets in turn; 2 workers.",
		Metrics: []result.Metric{handoffCPU}, Rounds: pick(p, 2, p.Rounds), Subjects: subjects,
	}
}

// scaleRate is low enough that 256 workers keep up, and the same for all: what a
// closed loop costs changes with how many connections happen to go together.
const scaleRate = 1000

func handoffsAtRate(ctx context.Context, b *Bench, r *side.Running) (Values, error) {
	constant := load.Constant{Connections: load.PerRequest, Rate: scaleRate, For: b.Plan.Warm}
	if _, err := constant.Run(ctx, r.Addresses...); err != nil {
		return nil, err
	}
	constant.For = 2 * b.Plan.Run
	took, err := perHandoff(ctx, r, func() error {
		got, err := constant.Run(ctx, r.Addresses...)
		return errors.Join(err, got.Whole())
	})
	return Values{"cpu": micro(took)}, err
}
