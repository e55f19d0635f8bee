package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/systemd"
)

// askSystemd is how long systemd may take to tell its job.
const askSystemd = 5 * time.Second

// A systemdCommand is one that systemd runs for a service.
type systemdCommand struct {
	name string
	user bool
	plan func(context.Context) (plan, error)

	patience time.Duration // with processes that are to end
}

// hidden has what such commands have in common: they are in no list, and not for
// people, who are told of the command that they want.
func (c *systemdCommand) hidden(cmd *cobra.Command, instead string) *cobra.Command {
	run := cmd.RunE
	c.plan = c.ask
	cmd.Hidden = true
	cmd.Args = usageArgs(cobra.ExactArgs(1), "a NAME")
	cmd.Flags().BoolVar(&c.user, "user", false, "of this user's manager instead of the system's")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.name = args[0]
		if err := settings.CheckName(c.name); err != nil {
			return usageError{err}
		}
		if os.Getenv("SERVICE_RESULT") == "" { // which systemd gives to no other commands
			return usageError{fmt.Errorf("%s is for systemd, which runs it for %s: %s %s", cmd.Name(), c.unit(), instead, c.unit())}
		}
		return of(c.name, run(cmd, args))
	}
	return cmd
}

func (c *systemdCommand) unit() string { return c.name + ".service" }

// A plan is what systemd is about to do with the service.
type plan struct {
	job     string       // stop, restart and so on; empty when nothing
	before  []string     // what it is to do with units that the service cannot start without
	service systemd.Unit // as it is to run
}

func (c *systemdCommand) ask(ctx context.Context) (plan, error) {
	ctx, cancel := context.WithTimeout(ctx, askSystemd)
	defer cancel()
	scope := systemd.System
	if c.user {
		scope = systemd.User
	}
	m, err := systemd.Connect(ctx, scope)
	if err != nil {
		return plan{}, err
	}
	defer m.Close()
	unit, err := m.Unit(ctx, c.unit())
	if err != nil {
		return plan{}, err
	}
	jobs, err := m.Jobs(ctx)
	if err != nil {
		return plan{}, err
	}
	return plan{jobs[c.unit()], before(unit, jobs), unit}, nil
}

// before are the jobs that a start of the service depends on.
func before(service systemd.Unit, jobs map[string]string) (list []string) {
	for _, unit := range service.Needs {
		switch job := jobs[unit]; job {
		case "start", "stop", "restart":
			list = append(list, job+" "+unit)
		}
	}
	return list
}
