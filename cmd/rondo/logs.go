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

// logging is one call of rondo logs.
type logging struct {
	machine
	follow bool
	lines  string
}

func newLogs() *cobra.Command {
	var l logging
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show what the master and its workers wrote to the journal, or to launchd's log",
		Long: "Logs runs journalctl -u NAME.service or, with --user, journalctl --user-unit NAME.service.\n" +
			"For one worker, by its slot: journalctl -t NAME/SLOT.\n" +
			"With --init launchd it runs tail on the file that launchd writes.",
		Example:           "rondo logs app",
		Args:              usageArgs(cobra.ExactArgs(1), "a NAME"),
		ValidArgsFunction: completeOneInstalled,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := settings.CheckName(args[0]); err != nil {
				return usageError{fmt.Errorf("logs: %w", err)}
			}
			words, err := l.words(args[0])
			if err != nil {
				return fmt.Errorf("logs: %w", err)
			}
			path, err := exec.LookPath(words[0])
			if err != nil {
				return fmt.Errorf("logs: %s was not found: without systemd's journal the log is where rondo run writes it", words[0])
			}
			if err := syscall.Exec(path, words, os.Environ()); err != nil {
				return fmt.Errorf("logs: %s: %w", path, err)
			}
			panic("exec returned without an error")
		},
	}
	addInit(cmd, &l.init)
	cmd.Flags().BoolVar(&l.user, "user", false, "of this user's manager instead of the system's")
	cmd.Flags().BoolVarP(&l.follow, "follow", "f", false, "go on as more is written")
	cmd.Flags().StringVarP(&l.lines, "lines", "n", "", "`NUMBER` of last lines, or all")
	return cmd
}

// words are the command line of who shows the log.
func (l *logging) words(name string) ([]string, error) {
	if l.init != byLaunchd {
		return journalctl(l.scope(), name, l.follow, l.lines), nil
	}
	at, err := l.launchd()
	if err != nil {
		return nil, err
	}
	path, err := at.LogFile(name)
	if err != nil {
		return nil, err
	}
	return tail(path, l.follow, l.lines), nil
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

// tail shows the file at path as journalctl shows a journal: all of it, or its last lines;
// and follows it, also when another takes its place.
func tail(path string, follow bool, lines string) []string {
	args := []string{"tail"}
	switch {
	case lines == "all", lines == "" && !follow:
		args = append(args, "-n", "+1")
	case lines != "":
		args = append(args, "-n", lines)
	}
	if follow {
		args = append(args, "-F")
	}
	return append(args, path)
}
