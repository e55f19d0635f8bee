package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// initSystem is what opens an app's sockets and starts it.
type initSystem string

const (
	bySystemd initSystem = "systemd"
	byLaunchd initSystem = "launchd"
)

// untried is said wherever launchd is spoken of.
const untried = "What rondo does for launchd was never run on a Mac by its authors."

func (i *initSystem) Set(text string) error {
	if *i = initSystem(text); *i != bySystemd && *i != byLaunchd {
		return fmt.Errorf("%q is not \"systemd\" or \"launchd\"", text)
	}
	return nil
}

func (i *initSystem) String() string { return string(*i) }

func (i *initSystem) Type() string { return "INIT" }

// addInit adds --init to cmd: what is given, or is this platform's, goes into i.
func addInit(cmd *cobra.Command, i *initSystem) {
	*i = usualInit
	f := cmd.Flags().VarPF(i, "init", "", "`INIT` that runs the app: systemd or launchd (default the one of this system)")
	f.DefValue = "" // which is of the platform that the manual was made on
	if err := cmd.RegisterFlagCompletionFunc("init", cobra.FixedCompletions([]cobra.Completion{string(bySystemd), string(byLaunchd)}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("a flag that was just added: " + err.Error())
	}
}

// initOf is what --init of a command says, which has one.
func initOf(flags *pflag.FlagSet) initSystem { return initSystem(flags.Lookup("init").Value.String()) }
