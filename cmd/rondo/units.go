package main

import (
	"cmp"
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

// Where rondo is when nobody says so: where a package has it and, as macOS keeps that for
// itself, where people put programs.
const (
	usualRondo    = "/usr/bin/rondo"
	usualMacRondo = "/usr/local/bin/rondo"
)

// generate gives the files of another machine, with this version of systemd if it has that.
func (m *machine) generate(req install.Request, version int) ([]install.Change, error) {
	if m.init == byLaunchd {
		m.rondo = cmp.Or(m.rondo, usualMacRondo)
		l, err := m.launchd()
		if err != nil {
			return nil, err
		}
		return l.Generate(req)
	}
	m.rondo = cmp.Or(m.rondo, usualRondo)
	if err := m.open(); err != nil {
		return nil, err
	}
	return m.Generate(req, version)
}

func newGenerate() *cobra.Command {
	var m machine
	var req install.Request
	version, output := 252, ""
	cmd := &cobra.Command{
		Use:   "generate [flags] -- COMMAND [ARG...]",
		Short: "Print what install would write, for any machine",
		Long: "Generate takes the flags of install and looks at nothing of this machine but PATH, for the COMMAND.\n" +
			"Without --run-as it is a dynamic user's or, before systemd 257, an account's that it prints the rule of;\n" +
			"launchd has neither." + initHelp,
		Example: "rondo units generate --name app --listen 80=3000 --directory /srv/app -- /usr/bin/node server.js",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("units generate: no command, like: " + cmd.Example)}
			}
			if m.init == byLaunchd && cmd.Flags().Changed("systemd") {
				return usageError{errors.New("units generate: --systemd says nothing to launchd: leave it, or --init launchd, out")}
			}
			req.Command = args
			files, err := m.generate(req, version)
			if err != nil {
				return fmt.Errorf("units generate: %w", err)
			}
			if m.init == byLaunchd {
				fmt.Fprintln(cmd.ErrOrStderr(), untried)
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
	addInit(cmd, &m.init)
	flags.BoolVar(&m.user, "user", false, "for a user's manager instead of the system's")
	flags.IntVar(&version, "systemd", version, "`VERSION` of systemd that will read them")
	flags.StringVar(&output, "output", "", "`DIR` to write the files to, instead of printing them")
	flags.StringVar(&m.rondo, "rondo", "", "`PATH` of rondo in the units (default "+usualRondo+" or, for launchd, "+usualMacRondo+")")
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
			var all []install.Verdict
			for _, arg := range args {
				list, err := m.verify(arg)
				if err != nil {
					return fmt.Errorf("units verify: %w", err)
				}
				all = append(all, list...)
			}
			return tellVerdicts(cmd.OutOrStdout(), all)
		},
	}
	addInit(cmd, &m.init)
	cmd.Flags().BoolVar(&m.user, "user", false, "of this user's manager instead of the system's")
	return cmd
}

// verify takes the name of an app, or a file: that tells what it is for.
func (m *machine) verify(arg string) ([]install.Verdict, error) {
	var by interface {
		VerifyApp(name string) ([]install.Verdict, error)
		VerifyFile(path string) (install.Verdict, error)
	}
	isFile := strings.Contains(arg, "/")
	if filepath.Ext(arg) == ".plist" && isFile || m.init == byLaunchd && !isFile {
		l, err := m.launchd()
		if err != nil {
			return nil, err
		}
		by = l
	} else {
		if err := m.open(); err != nil {
			return nil, err
		}
		by = m.Machine
	}
	if !isFile {
		return by.VerifyApp(arg)
	}
	v, err := by.VerifyFile(arg)
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
