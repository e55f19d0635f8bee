package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/master"
)

func newUpgrade() *cobra.Command {
	all, within := false, time.Duration(0)
	cmd := &cobra.Command{
		Use:   "upgrade [NAME]",
		Short: "Replace the master by the rondo that is installed now, under its workers",
		Long: "Upgrade has the master's program replaced by the one that is installed now, as after an update of the\n" +
			"package. The process, its workers and their connections stay. If the new one cannot serve, the old one\n" +
			"serves on, and the exit code is 1. To replace the workers, reload.",
		Example:           "rondo upgrade app\nrondo upgrade --all --within 60s",
		Args:              usageArgs(cobra.MaximumNArgs(1), "one NAME"),
		ValidArgsFunction: completeRunning,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return usageError{errors.New("upgrade: give a NAME or --all")}
			}
			ctx := cmd.Context()
			if within < 0 {
				return usageError{fmt.Errorf("--within: %v is less than nothing", within)}
			}
			if within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, within, fmt.Errorf("not within %v", within))
				defer cancel()
			}
			masters, err := toUpgrade(ctx, nameIn(args), all)
			if err != nil {
				return err
			}
			if len(masters) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "no rondo is running")
			}
			var failed []error
			for _, c := range masters {
				if ctx.Err() != nil {
					failed = append(failed, fmt.Errorf("%s: not upgraded: %w; the rondo that it runs serves on", c.Path(), context.Cause(ctx)))
					continue
				}
				said, err := upgrade(ctx, c)
				if err != nil {
					failed = append(failed, err)
					continue
				}
				fmt.Fprintln(cmd.OutOrStdout(), said)
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every rondo that may be asked")
	cmd.Flags().DurationVar(&within, "within", 0, "`TIME` for all of them; those that it does not reach serve on as they are")
	return cmd
}

// newStateFormat is the trial of a new program by the one that is to give way to it.
func newStateFormat() *cobra.Command {
	return &cobra.Command{
		Use:    "state-format",
		Short:  "Tell an older rondo whether this one can take over from it",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(stateFormat{Version: master.Version, Format: state.Format()})
		},
	}
}

func toUpgrade(ctx context.Context, name string, all bool) ([]*control.Caller, error) {
	if all {
		return control.FindAll()
	}
	c, err := control.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	return []*control.Caller{c}, nil
}

const (
	upgradePatience = 30 * time.Second
	lookAgain       = 20 * time.Millisecond

	// anotherUpgrade is how long nobody answers, at most, while one that was asked for by
	// somebody else is at work.
	anotherUpgrade = 2 * time.Second
)

// upgrade replaces one master and says how that went. The old one ends before it could
// tell; the one that serves then does.
func upgrade(ctx context.Context, c *control.Caller) (string, error) {
	whole := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, upgradePatience, fmt.Errorf("not in %v", upgradePatience))
	defer cancel()
	var before, after status
	err := c.Status(ctx, &before)
	for began := time.Now(); err != nil && time.Since(began) < anotherUpgrade; err = c.Status(ctx, &before) {
		wait(ctx, lookAgain)
	}
	if err != nil {
		return "", fmt.Errorf("upgrade: %w", err)
	}
	asked := c.Upgrade(ctx)
	if control.Refused(asked) {
		return "", fmt.Errorf("%s: %w; version %s serves on", before.Name, asked, before.Version)
	}
	for ; ; wait(ctx, lookAgain) {
		after = status{}
		err := c.Status(ctx, &after)
		switch {
		case whole.Err() != nil:
			return "", fmt.Errorf("%s: how its upgrade went is not known: %w; rondo status %s tells", before.Name, context.Cause(whole), before.Name)
		case ctx.Err() != nil:
			return "", fmt.Errorf("upgrade of %s: the program that took over does not answer: put version %s back in its place, and restart the service; "+
				"journalctl -u %s.service shows what it said: %w", before.Name, before.Version, before.Name, errors.Join(context.Cause(ctx), asked, err))
		case err != nil: // between the two
		case after.PID != before.PID:
			return after.afterEnd(before)
		case after.Adopted == before.Adopted:
		case after.Upgrade != nil && after.Upgrade.Error != nil:
			return "", fmt.Errorf("%s: upgrade: %s; version %s serves on", before.Name, *after.Upgrade.Error, after.Version)
		default:
			return printable(fmt.Sprintf("%s: version %s serves, before %s, with %s", after.Name, after.Version, before.Version, sameWorkers(before.Workers, after.Workers))), nil
		}
	}
}

// sameWorkers tells which workers of before there are after.
func sameWorkers(before, after []master.Worker) string {
	kept := 0
	for _, w := range after {
		if slices.ContainsFunc(before, func(b master.Worker) bool { return b.ID == w.ID && b.PID == w.PID }) {
			kept++
		}
	}
	if kept == len(before) && kept == len(after) {
		return "the same " + counted(kept, "worker")
	}
	return fmt.Sprintf("%d of the %s of before, and %d new", kept, counted(len(before), "worker"), len(after)-kept)
}

// afterEnd tells of an upgrade in which the process of the master ended, and the
// service manager started another one.
func (s *status) afterEnd(before status) (string, error) {
	text := printable(fmt.Sprintf("%s: version %s serves, before %s, but the process of the master ended in the upgrade", s.Name, s.Version, before.Version))
	if s.Adopted <= before.Adopted {
		return "", errors.New(text + ", and the next one started anew, with workers of its own: its log says why")
	}
	return text + fmt.Sprintf(", and process %d took over its workers: its log says why", s.PID), nil
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
