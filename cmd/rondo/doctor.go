package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/install"
)

func newDoctor() *cobra.Command {
	var m machine
	cmd := &cobra.Command{
		Use:               "doctor [NAME...]",
		Short:             "Say what is wrong with installed apps, and the command that mends it",
		Long:              "Doctor changes nothing. It exits 0 when nothing is wrong, and 1 otherwise. Run it as root to have all looked at." + initHelp,
		Example:           "sudo rondo doctor app",
		ValidArgsFunction: completeInstalled,
		RunE: func(cmd *cobra.Command, names []string) error {
			if m.init == byLaunchd {
				return m.withLaunchd(cmd, false, func(ctx context.Context, l *install.Launchd) error {
					fmt.Fprintln(cmd.OutOrStdout(), untried)
					return examine(ctx, l, names, cmd.OutOrStdout())
				})
			}
			return m.withMachine(cmd, false, func(ctx context.Context) error {
				return examine(ctx, m.Machine, names, cmd.OutOrStdout())
			})
		},
	}
	addInit(cmd, &m.init)
	cmd.Flags().BoolVar(&m.user, "user", false, "of this user's manager instead of the system's")
	return cmd
}

// An examiner is an install.Machine or an install.Launchd.
type examiner interface {
	Names() ([]string, error)
	Doctor(ctx context.Context, name string) ([]install.Finding, error)
}

// examine tells of the apps called names, or of all.
func examine(ctx context.Context, m examiner, names []string, out io.Writer) error {
	names, err := installed(m, names, out)
	if err != nil {
		return err
	}
	wrong := 0
	noted := make(map[string]bool) // what is of the machine is said once
	for _, name := range names {
		found, err := m.Doctor(ctx, name)
		if err != nil {
			return fmt.Errorf("doctor: %w", err)
		}
		before := wrong
		for _, f := range found {
			if f.Mend == "" && noted[f.What] {
				continue
			}
			if noted[f.What] = true; f.Mend == "" {
				fmt.Fprintln(out, printable(fmt.Sprintf("%s: note: %s", f.App, f.What)))
				continue
			}
			wrong++
			fmt.Fprintln(out, printable(fmt.Sprintf("%s: %s", f.App, oneLine(fmt.Errorf("%s", f.What)))))
			fmt.Fprintln(out, printable("    "+f.Mend))
		}
		if wrong == before {
			fmt.Fprintf(out, "%s: nothing is wrong\n", name)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("doctor: found %d: each is followed by the command that mends it", wrong)
	}
	return nil
}
