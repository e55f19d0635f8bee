//go:build !portable

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/internal/sys"
)

// victim is a process that was sent SIGKILL.
type victim struct {
	Process
	handle *sys.Handle
}

func kill(ctx context.Context, list []Process) error {
	v := here()
	g, err := v.own()
	if err != nil {
		return err
	}
	return v.kill(ctx, g, list)
}

func killIn(ctx context.Context, path string, list []Process) error {
	v := here()
	g, err := v.group(path)
	if err != nil {
		return err
	}
	return v.kill(ctx, g, list)
}

func (v view) kill(ctx context.Context, g group, list []Process) error {
	var victims []victim
	defer func() {
		for _, one := range victims {
			one.handle.Close()
		}
	}()
	var errs []error
	for _, p := range list {
		h, err := v.killOne(g, p)
		if err != nil {
			errs = append(errs, fmt.Errorf("kill %v: %w", p, err))
		}
		if h != nil {
			victims = append(victims, victim{p, h})
		}
	}
	return errors.Join(append(errs, await(ctx, victims))...)
}

// killOne gives a handle of the process that it has killed; none when p has ended.
func (v view) killOne(g group, p Process) (*sys.Handle, error) {
	h, err := sys.OpenHandle(p.PID)
	if err == unix.ESRCH {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// What is found now is of the process that h means, or that has ended and h means
	// nobody. It may be another than p, which had the pid before.
	if !v.is(g, p) {
		h.Close()
		return nil, nil
	}
	if err := h.Signal(unix.SIGKILL); err != nil {
		h.Close()
		if err == unix.ESRCH {
			err = nil
		}
		return nil, err
	}
	return h, nil
}

// is says whether p's pid is still p's, and in g.
func (v view) is(g group, p Process) bool {
	st, seen := v.stat(p.PID)
	if !seen && p.Comm == "" {
		pids, err := g.procs()
		return err == nil && slices.Contains(pids, p.PID)
	}
	return seen && st.began == p.began && v.holds(g, p.PID)
}

// await returns when all have ended.
func await(ctx context.Context, victims []victim) error {
	var alive []Process
	for _, one := range victims {
		if one.handle.Wait(ctx) != nil {
			alive = append(alive, one.Process)
		}
	}
	if len(alive) > 0 {
		return fmt.Errorf("killed, and did not end: %s: %w", List(alive), context.Cause(ctx))
	}
	return nil
}
