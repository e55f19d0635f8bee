package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/control"
)

func newStop() *cobra.Command {
	return &cobra.Command{
		Use:               "stop [NAME]",
		Short:             "Have a master drain its workers and exit, as SIGTERM does",
		Long:              "Stop returns when the drain has begun. A service manager may start the service again:\nuse systemctl stop for one of systemd's.",
		Example:           "rondo stop app",
		Args:              usageArgs(cobra.MaximumNArgs(1), "one NAME"),
		ValidArgsFunction: completeRunning,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := control.Find(cmd.Context(), nameIn(args))
			if err != nil {
				return err
			}
			if err := c.Stop(cmd.Context()); err != nil {
				return fmt.Errorf("stop: %w", err)
			}
			return nil
		},
	}
}
