package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/rondokit/rondo/internal/cgroup"
	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/master"
)

// listenAgain is how often a control socket that could not be made is tried again.
const listenAgain = time.Second

// controls is the control socket of a master, or what makes it later.
type controls struct {
	name     string
	log      *slog.Logger
	listener *control.Listener // nil: not there yet
}

// openControls makes the control socket. A service, whose connections wait, and one
// with workers to take over begin without it where it cannot be made. Only the place
// of a live master is no place for another.
func openControls(ctx context.Context, cfg *master.Config) (*controls, error) {
	c := &controls{name: cfg.Name, log: cfg.Logger}
	err := c.listen(ctx)
	if err != nil && (control.AlreadyRunning(err) || cgroup.Unit() == "" && len(cfg.Stored) == 0) {
		return nil, err
	}
	if err != nil {
		c.log.Error("the service goes on without its control socket: rondo reload, status and the like do not find it until that can be made", "err", err)
	}
	return c, nil
}

func (c *controls) listen(ctx context.Context) error {
	path, err := control.Path(c.name)
	if err == nil {
		c.listener, err = control.Listen(ctx, path)
	}
	return err
}

func (c *controls) close() error {
	if c.listener == nil {
		return nil
	}
	return c.listener.Close()
}

// run answers by b until ctx ends.
func (c *controls) run(ctx context.Context, b backend) {
	for c.listener == nil {
		if wait(ctx, listenAgain); ctx.Err() != nil {
			return
		}
		if c.listen(ctx) == nil {
			c.log.Info("the control socket is there")
		}
	}
	server := control.Server{Listener: c.listener, Backend: b, Logger: c.log}
	if err := server.Run(ctx); err != nil {
		c.log.Error("control socket ended; the service goes on without it", "err", err)
	}
}
