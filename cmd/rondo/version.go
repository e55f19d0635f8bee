package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/master"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "rondo version",
		Args:    usageArgs(cobra.NoArgs, "nothing"),
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "rondo %s (%s, %s, %s/%s)\n", master.Version, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}

// revision is the commit of the sources, where make has built the program.
var revision string

// commit is what make, or the go command, wrote into the program of its sources.
func commit() string {
	is, changed := revision, ""
	if info, ok := debug.ReadBuildInfo(); ok && is == "" {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				is = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = ", changed since"
			}
		}
	}
	if is == "" {
		return "commit unknown"
	}
	return "commit " + is[:min(12, len(is))] + changed
}
