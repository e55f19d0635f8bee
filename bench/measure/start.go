package measure

import (
	"context"

	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// start is the time from exec until a side says that it serves.
func start(p Plan) Measure {
	return Measure{
		Name: "start", Title: "From exec to ready",
		About: "Alone: until the app listens. Under rondo: until READY=1, which is when every worker listens. " +
			"Node's cluster: until all workers listen.",
		Metrics:  []result.Metric{{Name: "took", Title: "time", Unit: "ms"}},
		Rounds:   pick(p, 5, p.Rounds),
		Subjects: each([]side.Side{goAlone, goRondo1, goRondo, nodeAlone, nodeRondo, clusterRR}, tookToStart),
	}
}

func tookToStart(_ context.Context, _ *Bench, r *side.Running) (Values, error) {
	return Values{"took": milli(r.Took)}, nil
}
