package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/sys"
)

func newSystemdStop() *cobra.Command {
	c := systemdCommand{patience: 5 * time.Second} // far more than an upgrade takes on a busy machine
	cmd := &cobra.Command{
		Use:   "systemd-stop [--user] NAME",
		Short: "Be the ExecStop= of a service",
		Long: "Systemd-stop is what systemd runs before it ends the master of NAME.service. If that is for a restart,\n" +
			"systemd-stop has the master leave at once, and its workers go on until the next master takes them over.\n" +
			"For a stop it has the master drain, as SIGTERM does, which systemd sends it then: a master that is being\n" +
			"upgraded hears no signal. It warns and takes it for a stop when systemd does not say which of them it is,\n" +
			"when a unit that the service requires, as its socket, is to be restarted too, and when the next master\n" +
			"is to run as another account. It does nothing when the master has ended. It exits 0 in each case.",
		Example: "ExecStop=+/usr/bin/rondo systemd-stop app",
		RunE: func(cmd *cobra.Command, args []string) error {
			pid, err := strconv.Atoi(os.Getenv("MAINPID"))
			if err != nil {
				return nil // it has ended, which made systemd stop the service
			}
			if err := c.leaveOrDrain(cmd.Context(), pid); err != nil {
				warn(cmd.ErrOrStderr(), c.name, fmt.Errorf("systemd-stop: %w", err))
			}
			return nil
		},
	}
	return c.hidden(cmd, "systemctl restart")
}

// leaveOrDrain has the master leave if its process is to be restarted, and drain
// otherwise. The error is why it drains instead.
func (c *systemdCommand) leaveOrDrain(ctx context.Context, pid int) error {
	main, err := sys.OpenHandle(pid)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("process %d: %w: the service drains as for a stop", pid, err)
	}
	defer main.Close()
	p, err := c.plan(ctx)
	switch {
	case err != nil:
		err = insteadOf("whether this is a restart is not known", err)
	case p.job == "restart":
		if err = doubt(p, c.user, pid); err != nil {
			break
		}
		why := c.leave(ctx, pid, main)
		if why == nil {
			return nil
		}
		err = insteadOf("the master did not leave for the restart", why)
		if !control.Refused(why) {
			return err // to ask it for anything else would be in vain
		}
	}
	c.drain(ctx, pid, main)
	return err
}

// insteadOf is why the service drains instead of leaving its workers.
func insteadOf(what string, why error) error {
	return fmt.Errorf("%s, so the service drains as for a stop: %w", what, why)
}

// drain tells the master to drain. SIGTERM follows in any case, which a master that is
// being upgraded does not hear: one that was cut off by its upgrade is told again.
func (c *systemdCommand) drain(ctx context.Context, pid int, main *sys.Handle) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	go func() { // ends with ctx
		defer cancel()
		main.Wait(ctx)
	}()
	for {
		m, err := c.master(ctx, pid)
		if err != nil {
			return
		}
		if err := m.Stop(ctx); err == nil || control.Refused(err) {
			return
		}
	}
}

// leave tells the master to leave, and returns when its process has ended.
func (c *systemdCommand) leave(ctx context.Context, pid int, main *sys.Handle) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.patience, fmt.Errorf("process %d has not ended after %v", pid, c.patience))
	defer cancel()
	m, err := c.master(ctx, pid)
	if err != nil {
		return err
	}
	err = m.Leave(ctx)
	if control.Refused(err) {
		return err
	}
	// Its end is what counts, and may come before its answer.
	if end := main.Wait(ctx); end != nil {
		return errors.Join(end, err)
	}
	return nil
}

// master is the one whose process is pid: one of another service may have its name.
// While it is being upgraded it does not answer, and is waited for.
func (c *systemdCommand) master(ctx context.Context, pid int) (*control.Caller, error) {
	var why error
	for {
		m, err := c.find(ctx, pid)
		if err == nil {
			return m, nil
		}
		if why == nil || ctx.Err() == nil { // else it may have no other reason than the end of ctx
			why = err
		}
		if wait(ctx, lookAgain); ctx.Err() != nil {
			return nil, why
		}
	}
}

func (c *systemdCommand) find(ctx context.Context, pid int) (*control.Caller, error) {
	m, err := control.Find(ctx, c.name)
	if err != nil {
		return nil, err
	}
	var who struct{ PID int }
	if err := m.Status(ctx, &who); err != nil {
		return nil, err
	}
	if who.PID != pid {
		return nil, fmt.Errorf("%s is of process %d, and the service's main process is %d", m.Path(), who.PID, pid)
	}
	return m, nil
}
