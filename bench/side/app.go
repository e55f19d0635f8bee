package side

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// An App is the trivial program that all sides serve, in one language.
type App struct {
	Name  string // as in the names of sides
	Title string
	args  func(*Host) []string
}

var (
	Go   = App{"go", "Go", func(h *Host) []string { return []string{h.Hello} }}
	Node = App{"node", "Node", func(h *Host) []string { return []string{"node", filepath.Join(h.Apps, "hello.js")} }}
)

// Alone is the app as a plain program.
func (a App) Alone() Side {
	return Side{Name: a.Name, Title: a.Title + " alone", Start: func(ctx context.Context, h *Host) (*Running, error) {
		return h.start(func(r *Running) error {
			_, err := r.alone(ctx, a.args(h))
			return err
		})
	}}
}

// AloneTuned is the app alone with settings that rondo makes: the scheduler class of
// its master, and GOMAXPROCS. What it gains is not rondo's.
func (a App) AloneTuned(name string, procs int) Side {
	return Side{
		Name:  a.Name + "-" + name,
		Title: fmt.Sprintf("%s alone, %s, GOMAXPROCS=%d", a.Title, Batch, procs),
		Start: func(ctx context.Context, h *Host) (*Running, error) {
			return h.start(func(r *Running) error {
				p, err := r.alone(ctx, a.args(h), "GOMAXPROCS="+strconv.Itoa(procs))
				if err != nil {
					return err
				}
				return Batch.set(p.pid)
			})
		},
	}
}

// alone starts a program that connects to BENCH_READY when it serves BENCH_LISTEN.
func (r *Running) alone(ctx context.Context, args []string, env ...string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r.Addresses = []string{address}
	ready, err := r.connected()
	if err != nil {
		return nil, err
	}
	p, err := r.launch(command{args: args, env: environ(append(env, "BENCH_LISTEN="+address, "BENCH_READY="+ready.path)...)})
	if err != nil {
		return nil, err
	}
	return p, r.wait(ctx, p, ready)
}
