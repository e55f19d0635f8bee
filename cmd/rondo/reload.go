package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/master"
)

func newReload() *cobra.Command {
	return &cobra.Command{
		Use:               "reload [NAME]",
		Short:             "Replace all workers by a new generation, and say how it went",
		Long:              "Reload reads the settings and COMMAND again and replaces the workers one after the other.\nIt waits for the result: 0 means that every slot has a ready new worker, 1 that the old ones serve on.",
		Example:           "rondo reload app",
		Args:              usageArgs(cobra.MaximumNArgs(1), "one NAME"),
		ValidArgsFunction: completeRunning,
		RunE: func(cmd *cobra.Command, args []string) error {
			return of(nameIn(args), reload(cmd, nameIn(args)))
		},
	}
}

func reload(cmd *cobra.Command, name string) error {
	c, err := control.Find(cmd.Context(), name)
	if err != nil {
		return err
	}
	began := time.Now()
	after, err := replaceWorkers(cmd.Context(), c)
	if err != nil {
		return fmt.Errorf("reload: %w", withLastLines(cmd.Context(), err, began))
	}
	fmt.Fprintln(cmd.OutOrStdout(), reloaded(after))
	return nil
}

// replaceWorkers asks for a reload and gives the status after it.
func replaceWorkers(ctx context.Context, c *control.Caller) (after master.Status, err error) {
	var before master.Status
	if err := c.Status(ctx, &before); err != nil {
		return after, err
	}
	ask, ended := c.Reload, func() bool { return false }
	if os.Getenv("MAINPID") == strconv.Itoa(before.PID) { // as the ExecReload= of its service
		ask = c.ManagedReload
		main, err := sys.OpenHandle(before.PID)
		if err == nil {
			defer main.Close()
		}
		ended = func() bool { return err != nil || main.Ended() }
	}
	if err = ask(ctx); err == nil {
		if err = c.Status(ctx, &after); err == nil {
			return after, nil
		}
	}
	if control.Refused(err) {
		return after, err
	}
	return underTheNext(ctx, c, before, err, ended)
}

const (
	// nextPatience is how long the next master may take to answer. One that hangs is
	// ended by the service manager's watchdog first.
	nextPatience = time.Minute
	reloadAgain  = 100 * time.Millisecond // between looks at a reload
)

// underTheNext tells how a reload ended whose master has left, for the reason why: the
// next one goes on with it, if it had begun. When the process of the service has ended
// there is none before this command ends, for which systemd waits.
func underTheNext(ctx context.Context, c *control.Caller, before master.Status, why error, ended func() bool) (after master.Status, err error) {
	for heard := time.Now(); time.Since(heard) < nextPatience && ctx.Err() == nil; wait(ctx, reloadAgain) {
		if ended() {
			return after, fmt.Errorf("%w: the next one goes on with it, or it has to be asked for again: see rondo status %s", why, before.Name)
		}
		after = master.Status{}
		if err = c.Status(ctx, &after); err != nil {
			continue // between the two
		}
		if heard = time.Now(); after.State != "starting" && (after.Reload == nil || after.Reload.State != "running") {
			return after, outcome(before, after)
		}
	}
	return after, fmt.Errorf("%w, and no other one answers: see systemctl status %s: %w", why, before.Name, errors.Join(ctx.Err(), err))
}

// outcome is how a reload ended that was asked for when the status was before.
func outcome(before, after master.Status) error {
	was, is := before.Reload, after.Reload
	switch {
	case after.Adopted == 0 && after.PID != before.PID:
		return fmt.Errorf("the master ended, and the next one could not take over from it: it has started anew, and serves generation %d", after.Generation)
	case is == nil || was != nil && after.Generation == before.Generation && is.State == was.State && *is.Ended == *was.Ended:
		return fmt.Errorf("the master ended before the reload had begun, and generation %d serves on: reload again", after.Generation)
	case is.Error != nil:
		return errors.New(*is.Error)
	}
	return nil
}

// nameIn is the NAME among args, or "" for the only rondo that runs.
func nameIn(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// reloaded is the result of a reload, as far as it is known when it ends: old
// workers may drain on.
func reloaded(s master.Status) string {
	draining, cut := 0, 0
	for _, w := range s.Workers {
		if w.Generation != s.Generation {
			draining++
		}
	}
	if s.Reload != nil {
		cut = s.Reload.Cut
	}
	return printable(fmt.Sprintf("%s: generation %d serves with %s; of the old ones %d draining, %d cut",
		s.Name, s.Generation, counted(len(s.Workers)-draining, "worker"), draining, cut))
}
