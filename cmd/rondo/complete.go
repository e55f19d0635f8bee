package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/control"
)

// completeRunning completes the NAME of a master that this user may give orders to.
func completeRunning(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return control.Names(), cobra.ShellCompDirectiveNoFileComp
}

// completeInstalled completes the NAMEs of apps that install made, of this user with
// --user, and does not give one twice.
func completeInstalled(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var m machine
	m.user, _ = cmd.Flags().GetBool("user")
	names, _ := m.names(initOf(cmd.Flags())) // without those that cannot be read
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) })
	return names, cobra.ShellCompDirectiveNoFileComp
}

// names are the apps that install made for an init.
func (m *machine) names(by initSystem) ([]string, error) {
	if by == byLaunchd {
		l, err := m.launchd()
		if err != nil {
			return nil, err
		}
		return l.Names()
	}
	if err := m.open(); err != nil {
		return nil, err
	}
	return m.Names()
}

// completeOneInstalled is completeInstalled for a command of one NAME.
func completeOneInstalled(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeInstalled(cmd, args, begun)
}

// completeInstall completes COMMAND, or the NAMEs of --refresh.
func completeInstall(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if refresh, _ := cmd.Flags().GetBool("refresh"); refresh {
		return completeInstalled(cmd, args, begun)
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// completeVerify completes NAMEs, and FILEs.
func completeVerify(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names, _ := completeInstalled(cmd, args, begun)
	return names, cobra.ShellCompDirectiveDefault
}
