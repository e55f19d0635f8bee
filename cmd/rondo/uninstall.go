package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/install"
)

func newUninstall() *cobra.Command {
	var m machine
	cmd := &cobra.Command{
		Use:   "uninstall NAME",
		Short: "Stop an app and remove what install made for it",
		Long: "Uninstall closes the sockets, lets the service finish what it holds, and removes the units, NAME.toml\n" +
			"and an account that install made. Drop-ins and other files of yours stay, and are named, as does\n" +
			"the log that launchd wrote." + initHelp,
		Example:           "sudo rondo uninstall app",
		Args:              usageArgs(cobra.ExactArgs(1), "a NAME"),
		ValidArgsFunction: completeOneInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			if m.init == byLaunchd {
				return m.withLaunchd(cmd, true, func(ctx context.Context, l *install.Launchd) error {
					fmt.Fprintln(cmd.OutOrStdout(), untried)
					return uninstall(ctx, l, args[0], l.Label(args[0]), cmd.OutOrStdout())
				})
			}
			return m.withMachine(cmd, true, func(ctx context.Context) error {
				return uninstall(ctx, m.Machine, args[0], args[0]+".service", cmd.OutOrStdout())
			})
		},
	}
	addInit(cmd, &m.init)
	cmd.Flags().BoolVar(&m.user, "user", false, "of this user's manager instead of the system's")
	return cmd
}

// An uninstaller is an install.Machine or an install.Launchd.
type uninstaller interface {
	Drains(ctx context.Context, name string) (runs bool, atMost time.Duration, err error)
	Uninstall(ctx context.Context, name string) (install.Removal, error)
}

// uninstall removes the app called name, which the init knows as service, and tells what
// that came to.
func uninstall(ctx context.Context, m uninstaller, name, service string, out io.Writer) error {
	if err := drains(ctx, m, name, service, out); err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	r, err := m.Uninstall(ctx, name)
	for _, what := range r.Killed {
		fmt.Fprintln(out, printable("killed "+what+", which the service had left behind"))
	}
	for _, what := range r.Removed {
		edited := ""
		if slices.Contains(r.Edited, what) {
			edited = ", which had been edited"
		}
		fmt.Fprintln(out, printable("removed "+what+edited))
	}
	for _, what := range r.Kept {
		fmt.Fprintln(out, printable("kept "+what))
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("uninstall: interrupted: %w: uninstall again, for the rest", err)
	}
	if err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	return nil
}

// drains tells what an uninstall is about to wait for, if a service runs.
func drains(ctx context.Context, m uninstaller, name, service string, out io.Writer) error {
	runs, atMost, err := m.Drains(ctx, name)
	if err != nil || !runs {
		return err
	}
	bound := ""
	if atMost > 0 {
		bound = fmt.Sprintf(", at most %v", atMost.Round(time.Second))
	}
	_, err = fmt.Fprintf(out, "%s finishes what it holds%s ...\n", service, bound)
	return err
}
