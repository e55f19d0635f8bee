package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/cgroup"
)

func newSystemdSweep() *cobra.Command {
	c := systemdCommand{patience: 5 * time.Second}
	cmd := &cobra.Command{
		Use:   "systemd-sweep [--user] NAME",
		Short: "Be the ExecStopPost= of a service",
		Long: "Systemd-sweep is what systemd runs when the master of NAME.service has ended. If the stop is final, so\n" +
			"that no next master will take over what runs on, it kills the processes that are left in the service,\n" +
			"and warns of them; so too for a restart that had the master drain as a unit that the service requires is\n" +
			"to be restarted. Otherwise, for a restart or after a crash, it does nothing. It warns and does nothing\n" +
			"when systemd does not say which of them it is: the next start then kills what it does not take over.\n" +
			"It exits 1 if a process that it kills does not end; and if the master's process has ended well without\n" +
			"a word of the master that it did, so that systemd starts the service again.",
		Example: "ExecStopPost=+/usr/bin/rondo systemd-sweep app",
		RunE: func(cmd *cobra.Command, args []string) error {
			told := func(err error) { warn(cmd.ErrOrStderr(), c.name, fmt.Errorf("systemd-sweep: %w", err)) }
			if err := c.sweep(cmd.Context(), told); err != nil {
				return fmt.Errorf("systemd-sweep: %w", err)
			}
			return nil
		},
	}
	return c.hidden(cmd, "systemctl stop")
}

// sweep kills what is left in the service if that has stopped for good. It tells of
// what is no fault of its own.
func (c *systemdCommand) sweep(ctx context.Context, tell func(error)) error {
	if unit := cgroup.Unit(); unit != c.unit() {
		tell(fmt.Errorf("nothing is looked for: this process is not one that systemd started for %s, but for %q", c.unit(), unit))
		return nil
	}
	list, err := cgroup.Leftovers(nil, nil)
	if err != nil {
		return err
	}
	result := os.Getenv("SERVICE_RESULT")
	unasked := result == "success" && isMarked()
	if len(list) == 0 && !unasked {
		return nil
	}
	p, err := c.plan(ctx)
	switch {
	case err != nil:
		tell(fmt.Errorf("whether this stop is final is not known, so the next start has to end what is left, %s: %w", cgroup.List(list), err))
		return nil
	case p.job == "" && unasked:
		return errUnasked
	case !final(p, result):
		return nil
	}
	return c.end(ctx, list, tell)
}

// errUnasked has systemd take the end of a process for a failure, as which it starts
// the service again and keeps its store.
var errUnasked = errors.New("the process ended without an error, and no master has ended the service: systemd starts it again; " +
	"if that goes on, the program in ExecStart= is none that serves")

// final says whether no start follows, or may not, the stop that systemd has this plan
// for. Without a job the process has ended by itself: systemd restarts it unless that went
// well, or an ExecCondition= has kept the next one from starting, which had a job to start.
// A restart that depends on others had the master drain: what is left is no worker of its.
func final(p plan, result string) bool {
	switch p.job {
	case "stop":
		return true
	case "restart":
		return len(p.before) > 0 && (result == "success" || result == "timeout")
	default:
		return result == "exec-condition" || p.job == "" && result == "success"
	}
}

// end kills what is left in the service until nothing is.
func (c *systemdCommand) end(ctx context.Context, list []cgroup.Process, tell func(error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.patience, fmt.Errorf("not in %v", c.patience))
	defer cancel()
	for len(list) > 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("new processes keep being started: %s", cgroup.List(list))
		}
		tell(fmt.Errorf("processes left in the stopped service are killed: %s", cgroup.List(list)))
		if err := cgroup.Kill(ctx, list); err != nil {
			return err
		}
		var err error
		if list, err = cgroup.Leftovers(nil, nil); err != nil {
			return err
		}
	}
	return nil
}
