package side

import (
	"context"
	"strconv"
)

// Activated is an app that systemd-socket-activate starts at the first connection,
// under rondo with so many workers or alone with none. It runs nothing yet when Start
// returns.
func Activated(a App, workers int) Side {
	s := Side{Name: a.Name, Title: a.Title + " alone"}
	if workers > 0 {
		under := Rondo{App: a, Workers: workers}.Side()
		s.Name, s.Title = under.Name, under.Title
	}
	s.Start = func(ctx context.Context, h *Host) (*Running, error) {
		return h.start(func(r *Running) error {
			args := a.args(h)
			if workers > 0 {
				args = append([]string{h.Rondo, "run", "--name", "app", "--workers", strconv.Itoa(workers), "--"}, args...)
			}
			return r.activate(ctx, args)
		})
	}
	return s
}

func (r *Running) activate(ctx context.Context, args []string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	r.Addresses = []string{address}
	activate := []string{"systemd-socket-activate", "-l", address, "-E", "BENCH_LISTEN=" + address, "-E", "XDG_RUNTIME_DIR=" + r.dir}
	p, err := r.launch(command{args: append(activate, args...), env: environ(), line: "Listening on " + address})
	if err != nil {
		return err
	}
	return p.await(ctx, p.said)
}
