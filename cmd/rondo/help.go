package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// newHelp is cobra's help, except that an unknown command is an error.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Say what a command does",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if cmd == root && len(rest) > 0 {
				return knownCommand(root, rest)
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// needsShell is completion without the shell it is for.
func needsShell(*cobra.Command, []string) error {
	return usageError{errors.New("completion: say for which shell: bash, zsh, fish or powershell")}
}

// pageName is that of the manual page of c.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }
