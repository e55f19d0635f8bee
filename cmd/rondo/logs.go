package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/systemd"
)

func newLogs() *cobra.Command {
	user, follow, lines := false, false, ""
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show what the master and its workers wrote to the journal",
		Long: "Logs runs journalctl -u NAME.service or, with --user, journalctl --user-unit NAME.service.\n" +
			"For one worker, by its slot: journalctl -t NAME/SLOT.",
		Example:           "rondo logs app",
		Args:              usageArgs(cobra.ExactArgs(1), "a NAME"),
		ValidArgsFunction: completeOneInstalled,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := settings.CheckName(args[0]); err != nil {
				return usageError{fmt.Errorf("logs: %w", err)}
			}
			path, err := exec.LookPath("journalctl")
			if err != nil {
				return fmt.Errorf("logs: journalctl was not found: without systemd's journal the log is where rondo run writes it")
			}
			scope := systemd.System
			if user {
				scope = systemd.User
			}
			if err := syscall.Exec(path, journalctl(scope, args[0], follow, lines), os.Environ()); err != nil {
				return fmt.Errorf("logs: %s: %w", path, err)
			}
			panic("exec returned without an error")
		},
	}
	cmd.Flags().BoolVar(&user, "user", false, "of this user's manager instead of the system's")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as more is written")
	cmd.Flags().StringVarP(&lines, "lines", "n", "", "`NUMBER` of last lines, or all")
	return cmd
}

func journalctl(scope systemd.Scope, name string, follow bool, lines string) []string {
	args := append([]string{"journalctl"}, scope.UnitLog(name+".service")...)
	if follow {
		args = append(args, "-f")
	}
	if lines != "" {
		args = append(args, "-n", lines)
	}
	return args
}
