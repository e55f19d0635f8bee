package side

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rondokit/rondo/bench/load"
)

// PM2 is the Node app in pm2's cluster mode.
func PM2(workers int) Side {
	return Side{Name: "node-pm2", Title: "pm2, cluster", Start: func(ctx context.Context, h *Host) (*Running, error) {
		return h.start(func(r *Running) error { return r.startPM2(ctx, h, workers) })
	}}
}

func (r *Running) startPM2(ctx context.Context, h *Host, workers int) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	r.Addresses = []string{address}
	home := filepath.Join(r.dir, "pm2")
	pm2 := func(ctx context.Context, args ...string) error {
		_, err := run(ctx, command{
			args: append([]string{"node", filepath.Join(h.NPM, "node_modules/pm2/bin/pm2")}, args...),
			env:  environ("PM2_HOME="+home, "PM2_DISABLE_VERSION_CHECK=true", "BENCH_LISTEN="+address),
			dir:  r.dir,
		})
		return err
	}
	r.stops = append(r.stops, func() error { return pm2(context.Background(), "kill") })
	r.pm2 = pm2
	began := time.Now()
	if err := pm2(ctx, "start", filepath.Join(h.Apps, "hello.js"), "--name", "app", "-i", strconv.Itoa(workers)); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(home, "pm2.pid"))
	if err != nil {
		return err
	}
	if r.Master, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return fmt.Errorf("pm2.pid: %w", err)
	}
	r.roots = append(r.roots, r.Master)
	if err := r.answeredBy(ctx, workers); err != nil {
		return err
	}
	r.Took = time.Since(began)
	return nil
}

// answeredBy waits until so many processes have answered.
func (r *Running) answeredBy(ctx context.Context, workers int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("never %d workers answer", workers))
	defer cancel()
	for seen := map[string]bool{}; len(seen) < workers; {
		who, err := load.Once(ctx, r.Address())
		if err == nil {
			seen[who] = true
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}
