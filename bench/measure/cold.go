package measure

import (
	"context"
	"time"

	"github.com/rondokit/rondo/bench/load"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// cold is how long the first visitor of a service waits that starts for him.
func cold(p Plan) Measure {
	subjects := []side.Side{
		side.Activated(side.Go, 0), side.Activated(side.Go, workers),
		side.Activated(side.Node, 0), side.Activated(side.Node, workers),
	}
	return Measure{
		Name: "cold", Title: "Cold activation",
		About:    "From the connect to the first answer of a service that systemd-socket-activate starts for it.",
		Metrics:  []result.Metric{{Name: "took", Title: "time", Unit: "ms"}},
		Rounds:   pick(p, 5, p.Rounds),
		Subjects: each(subjects, firstAnswer),
	}
}

func firstAnswer(ctx context.Context, _ *Bench, r *side.Running) (Values, error) {
	began := time.Now()
	_, err := load.Once(ctx, r.Address())
	return Values{"took": milli(time.Since(began))}, err
}
