// Package measure holds what is measured, one file for each measure, and runs the
// subjects of a measure in turn.
package measure

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// A Plan says how much is measured.
type Plan struct {
	Quick  bool
	Rounds int           // of a measure that compares
	Warm   time.Duration // load before what is counted
	Run    time.Duration // load that is counted
}

var (
	// Full is what the published figures come from.
	Full = Plan{Rounds: 15, Warm: 500 * time.Millisecond, Run: time.Second}
	// Quick shows in two minutes that all works, and the rough figures.
	Quick = Plan{Quick: true, Rounds: 2, Warm: 100 * time.Millisecond, Run: 300 * time.Millisecond}
)

// pick gives one of two values.
func pick[T any](p Plan, quick, full T) T {
	if p.Quick {
		return quick
	}
	return full
}

// A Bench is where measures are taken.
type Bench struct {
	Host  *side.Host
	Plan  Plan
	whole float64 // requests a second; see wholeLoad
}

// Values are the metrics of a measure, for one subject in one round.
type Values map[string]float64

// A Subject is one of what a measure compares.
type Subject struct {
	Name, Title string
	Run         func(context.Context, *Bench) (Values, error)
}

// A Measure is one thing that is measured.
type Measure struct {
	Name, Title string
	About       string // how, in a sentence or two
	Metrics     []result.Metric
	Rounds      int // 0 means the plan's
	Subjects    []Subject
}

// All gives the measures, in the order of the report.
func All(p Plan) []Measure {
	return []Measure{
		perRequest(), apart(), kept(),
		latency(), latencyLight(), latencyKept(),
		handoff(), memory(p), idle(p),
		start(p), cold(p), reload(p),
		byWorkers(p), bySockets(p), stuck(),
	}
}

// serving is a subject that f measures while it runs.
func serving(s side.Side, f func(context.Context, *Bench, *side.Running) (Values, error)) Subject {
	return Subject{s.Name, s.Title, func(ctx context.Context, b *Bench) (v Values, err error) {
		r, err := s.Start(ctx, b.Host)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, r.Stop()) }()
		return f(ctx, b, r)
	}}
}

// each is serving for several sides.
func each(sides []side.Side, f func(context.Context, *Bench, *side.Running) (Values, error)) []Subject {
	var subjects []Subject
	for _, s := range sides {
		subjects = append(subjects, serving(s, f))
	}
	return subjects
}

// The sides that several measures compare. Two workers are what rondo starts by itself
// on two processors; Node's cluster and pm2 get as many.
const workers = 2

var (
	goAlone      = side.Go.Alone()
	goAloneBatch = side.Go.AloneTuned("batch", runtime.NumCPU())
	goRondo1     = side.Rondo{App: side.Go, Workers: 1}.Side()
	goRondo      = side.Rondo{App: side.Go, Workers: workers}.Side()
	goBatch      = side.Rondo{App: side.Go, Workers: workers, Unit: side.Batch}.Side()
	nodeAlone    = side.Node.Alone()
	nodeRondo    = side.Rondo{App: side.Node, Workers: workers}.Side()
	clusterRR    = side.Cluster(workers, "rr")
	pm2          = side.PM2(workers)
)

// everybody is all that serves the app.
func everybody() []side.Side {
	return []side.Side{
		goAlone, goAloneBatch, side.Go.AloneTuned("batch-share", max(1, runtime.NumCPU()/workers)),
		goRondo1, goRondo, goBatch, side.HAProxy(), side.Nginx(), side.SocketProxyd(),
		nodeAlone, nodeRondo, clusterRR, side.Cluster(workers, "none"), pm2,
	}
}

// micro and milli are d in the units of the report.
func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
