package measure

import (
	"context"
	"time"

	"github.com/rondokit/rondo/bench/load"
	"github.com/rondokit/rondo/bench/proc"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

// memory is what the process that distributes connections has in memory.
func memory(p Plan) Measure {
	subjects := []Subject{serving(goRondo, memoryUnder(pick(p, 0, 1_000_000))), serving(nodeRondo, memoryUnder(0))}
	if !p.Quick {
		subjects = append(subjects, each([]side.Side{clusterRR, pm2}, memoryUnder(0))...)
	}
	return Measure{
		Name: "memory", Title: "Memory of the master",
		About: "VmRSS after the start, after so many handoffs (closed loop, a connection per request), and while 10 000 connections " +
			"are open. Of Node's cluster the primary process, of pm2 its daemon.",
		Metrics: []result.Metric{
			{Name: "start", Title: "at start", Unit: "MiB"},
			{Name: "after-10k", Title: "after 10 000 handoffs", Unit: "MiB"},
			{Name: "after-1m", Title: "after 1 000 000 handoffs", Unit: "MiB"},
			{Name: "open-10k", Title: "with 10 000 open connections", Unit: "MiB"},
			{Name: "most", Title: "at its most", Unit: "MiB"},
		},
		Rounds: pick(p, 1, 3), Subjects: subjects,
	}
}

// memoryUnder reads the memory after each load; with many, also after so many
// handoffs.
func memoryUnder(many int) func(context.Context, *Bench, *side.Running) (Values, error) {
	return func(ctx context.Context, b *Bench, r *side.Running) (Values, error) {
		v := Values{}
		if err := v.readMemory("start", r); err != nil {
			return nil, err
		}
		if err := connect(ctx, r, 10_000); err != nil {
			return nil, err
		}
		if err := v.readMemory("after-10k", r); err != nil {
			return nil, err
		}
		if many > 0 {
			if err := connect(ctx, r, many); err != nil {
				return nil, err
			}
			if err := v.readMemory("after-1m", r); err != nil {
				return nil, err
			}
		}
		held, err := load.Hold(ctx, r.Address(), 10_000)
		defer func() {
			for _, c := range held {
				c.Close()
			}
		}()
		if err != nil {
			return nil, err
		}
		return v, v.readMemory("open-10k", r)
	}
}

func (v Values) readMemory(when string, r *side.Running) error {
	m, err := proc.MemoryOf(r.Master)
	if err != nil {
		return err
	}
	v[when] = float64(m.Resident) / (1 << 20)
	v["most"] = float64(m.Peak) / (1 << 20)
	return nil
}

// connect makes at least n connections, a request on each.
func connect(ctx context.Context, r *side.Running, n int) error {
	for n > 0 {
		got, err := load.Closed{Connections: load.PerRequest, For: time.Second}.Run(ctx, r.Address())
		if err != nil {
			return err
		}
		n -= got.Requests
	}
	return nil
}
