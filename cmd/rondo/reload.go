package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/master"
)

func newReload() *cobra.Command {
	return &cobra.Command{
		Use:     "reload [NAME]",
		Short:   "Replace all workers by a new generation, and say how it went",
		Long:    "Reload reads the settings and COMMAND again and replaces the workers one after the other.\nIt waits for the result: 0 means that every slot has a ready new worker, 1 that the old ones serve on.",
		Example: "rondo reload app",
		Args:    usageArgs(cobra.MaximumNArgs(1), "one NAME"),
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
	if err := c.Reload(cmd.Context()); err != nil {
		return fmt.Errorf("reload: %w", withLastLines(cmd.Context(), err, began))
	}
	var s master.Status
	if err := c.Status(cmd.Context(), &s); err != nil {
		return fmt.Errorf("reloaded, and then: %w", err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), reloaded(s))
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
	return printable(fmt.Sprintf("%s: generation %d serves with %d workers; of the old ones %d drain, %d were cut",
		s.Name, s.Generation, len(s.Workers)-draining, draining, cut))
}
