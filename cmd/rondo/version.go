package main

import (
	"fmt"
	"runtime"

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
			fmt.Fprintf(cmd.OutOrStdout(), "rondo %s (%s, %s/%s)\n", master.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
