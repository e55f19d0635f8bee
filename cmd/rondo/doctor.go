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
		Long:              "Doctor changes nothing. It exits 0 when nothing is wrong, and 1 otherwise. Run it as root to have all looked at.",
		Example:           "sudo rondo doctor app",
		ValidArgsFunction: completeInstalled,
		RunE: func(cmd *cobra.Command, names []string) error {
			return m.withMachine(cmd, false, func(ctx context.Context) error {
				return examine(ctx, m.Machine, names, cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().BoolVar(&m.user, "user", false, "of this user's manager instead of the system's")
	return cmd
}

// examine tells of the apps called names, or of all.
func examine(ctx context.Context, m *install.Machine, names []string, out io.Writer) error {
	if len(names) == 0 {
		var err error
		if names, err = m.Names(); err != nil {
			return err
		}
		if len(names) == 0 {
			fmt.Fprintln(out, "nothing is installed")
		}
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
