package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/settings"
)

func newScale() *cobra.Command {
	return &cobra.Command{
		Use:               "scale [NAME] WORKERS",
		Short:             "Change the number of workers until the next restart",
		Example:           "rondo scale app 8",
		Args:              usageArgs(cobra.RangeArgs(1, 2), "a NAME and a number of workers"),
		ValidArgsFunction: completeRunning,
		RunE: func(cmd *cobra.Command, args []string) error {
			last := args[len(args)-1]
			n, err := strconv.Atoi(last)
			if err != nil || n < 1 || n > settings.MaxWorkers {
				return usageError{fmt.Errorf("scale: %q is not a number of workers from 1 to %d", last, settings.MaxWorkers)}
			}
			c, err := control.Find(cmd.Context(), nameIn(args[:len(args)-1]))
			if err != nil {
				return err
			}
			if err := c.Scale(cmd.Context(), n); err != nil {
				return fmt.Errorf("scale: %w", err)
			}
			return nil
		},
	}
}
