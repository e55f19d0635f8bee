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
			"and an account that install made. Drop-ins and other files of yours stay, and are named.",
		Example:           "sudo rondo uninstall app",
		Args:              usageArgs(cobra.ExactArgs(1), "a NAME"),
		ValidArgsFunction: completeOneInstalled,
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.withMachine(cmd, true, func(ctx context.Context) error {
				if err := drains(ctx, m.Machine, args[0], cmd.OutOrStdout()); err != nil {
					return fmt.Errorf("uninstall: %w", err)
				}
				r, err := m.Uninstall(ctx, args[0])
				for _, what := range r.Killed {
					fmt.Fprintln(cmd.OutOrStdout(), printable("killed "+what+", which the service had left behind"))
				}
				for _, what := range r.Removed {
					edited := ""
					if slices.Contains(r.Edited, what) {
						edited = ", which had been edited"
					}
					fmt.Fprintln(cmd.OutOrStdout(), printable("removed "+what+edited))
				}
				for _, what := range r.Kept {
					fmt.Fprintln(cmd.OutOrStdout(), printable("kept "+what))
				}
				if err != nil && ctx.Err() != nil {
					return fmt.Errorf("uninstall: interrupted: %w: uninstall again, for the rest", err)
				}
				if err != nil {
					return fmt.Errorf("uninstall: %w", err)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&m.user, "user", false, "of this user's manager instead of the system's")
	return cmd
}

// drains tells what an uninstall is about to wait for, if a service runs.
func drains(ctx context.Context, m *install.Machine, name string, out io.Writer) error {
	runs, atMost, err := m.Drains(ctx, name)
	if err != nil || !runs {
		return err
	}
	bound := ""
	if atMost > 0 {
		bound = fmt.Sprintf(", at most %v", atMost.Round(time.Second))
	}
	_, err = fmt.Fprintf(out, "%s.service finishes what it holds%s ...\n", name, bound)
	return err
}
