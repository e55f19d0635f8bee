package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/install"
)

func newUnits() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "units",
		Short: "Print unit files, or say whether they are as rondo wrote them",
		Args:  knownCommand,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("units: say generate or verify, like: rondo units generate --listen 80=3000 -- node server.js")}
		},
	}
	cmd.AddCommand(newGenerate(), newVerify())
	return cmd
}

// usualRondo is where a package has it.
const usualRondo = "/usr/bin/rondo"

func newGenerate() *cobra.Command {
	m := machine{rondo: usualRondo}
	var req install.Request
	version, output := 252, ""
	cmd := &cobra.Command{
		Use:   "generate [flags] -- COMMAND [ARG...]",
		Short: "Print what install would write, for any machine",
		Long: "Generate takes the flags of install and looks at nothing of this machine but PATH, for the COMMAND.\n" +
			"Without --run-as it is a dynamic user's or, before systemd 257, an account's that it prints the rule of.",
		Example: "rondo units generate --name app --listen 80=3000 --directory /srv/app -- /usr/bin/node server.js",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("units generate: no command, like: " + cmd.Example)}
			}
			if err := m.open(); err != nil {
				return err
			}
			req.Command = args
			files, err := m.Generate(req, version)
			if err != nil {
				return fmt.Errorf("units generate: %w", err)
			}
			if output == "" {
				return printFiles(cmd.OutOrStdout(), files)
			}
			return writeFiles(cmd.OutOrStdout(), output, files)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.SetInterspersed(false)
	flags.BoolVar(&m.user, "user", false, "for a user's manager instead of the system's")
	flags.IntVar(&version, "systemd", version, "`VERSION` of systemd that will read them")
	flags.StringVar(&output, "output", "", "`DIR` to write the files to, instead of printing them")
	flags.StringVar(&m.rondo, "rondo", m.rondo, "`PATH` of rondo in the units")
	addRequest(flags, &req)
	return cmd
}

// printFiles prints each with its path before it, as systemctl cat does.
func printFiles(out io.Writer, files []install.Change) error {
	for i, f := range files {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if _, err := fmt.Fprintf(out, "# %s\n%s", f.Path, f.New); err != nil {
			return fmt.Errorf("units generate: %w", err)
		}
	}
	return nil
}

func writeFiles(out io.Writer, dir string, files []install.Change) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("units generate: %w", err)
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.Base(f.Path))
		if err := os.WriteFile(path, []byte(f.New), 0o644); err != nil {
			return fmt.Errorf("units generate: %w", err)
		}
		fmt.Fprintln(out, path)
	}
	return nil
}

func newVerify() *cobra.Command {
	var m machine
	cmd := &cobra.Command{
		Use:   "verify NAME|FILE...",
		Short: "Say whether files are as rondo wrote them, and would write them now",
		Long: "Verify takes the NAME of an app that is installed, or a FILE with a slash in it. It exits 0 when all\n" +
			"are as rondo wrote them, and 1 otherwise.",
		Example:           "rondo units verify app",
		Args:              usageArgs(cobra.MinimumNArgs(1), "a NAME or FILE"),
		ValidArgsFunction: completeVerify,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.open(); err != nil {
				return err
			}
			var all []install.Verdict
			for _, arg := range args {
				list, err := verify(m.Machine, arg)
				if err != nil {
					return fmt.Errorf("units verify: %w", err)
				}
				all = append(all, list...)
			}
			return tellVerdicts(cmd.OutOrStdout(), all)
		},
	}
	cmd.Flags().BoolVar(&m.user, "user", false, "of this user's manager instead of the system's")
	return cmd
}

func verify(m *install.Machine, arg string) ([]install.Verdict, error) {
	if !strings.Contains(arg, "/") {
		return m.VerifyApp(arg)
	}
	v, err := m.VerifyFile(arg)
	return []install.Verdict{v}, err
}

func tellVerdicts(out io.Writer, all []install.Verdict) error {
	other := 0
	for _, v := range all {
		text := fmt.Sprintf("%s: %s", v.Path, v.State)
		if v.Version != "" {
			text += fmt.Sprintf(" (rondo %s)", v.Version)
		}
		if v.Why != "" {
			text += ": " + v.Why
		}
		fmt.Fprintln(out, printable(text))
		if v.State != install.AsWritten {
			other++
		}
	}
	if other > 0 {
		return fmt.Errorf("units verify: not as rondo writes them: %d of %d", other, len(all))
	}
	return nil
}
