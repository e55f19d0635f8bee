package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rondokit/rondo/internal/settings"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "rondo",
		Short:         "Run a server as several workers, and reload it without losing a connection",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("no command, like: rondo run -- node server.js; rondo help lists them")}
		},
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newRun(), newInstall(), newUninstall(), newDoctor(), newUnits(), newTrial(), newReload(), newUpgrade(), newStateFormat(), newStatus(), newScale(), newSend(), newStop(), newLogs(), newDemo(), newDemoWorker(), newSystemdStop(), newSystemdSweep(), newVersion())
	root.SetHelpCommand(newHelp(root))
	root.InitDefaultCompletionCmd("completion") // only then it exists, to be made strict
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = knownCommand, needsShell
		}
	}
	return root
}

// usageError is an error of whoever wrote the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// oneLine is err without line breaks: joined errors stand one after the other.
func oneLine(err error) string {
	var b strings.Builder
	for line := range strings.FieldsFuncSeq(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }) {
		switch said := b.String(); {
		case said == "":
		case strings.HasSuffix(said, ":"):
			b.WriteByte(' ')
		default:
			b.WriteString("; ")
		}
		b.WriteString(printable(strings.TrimSpace(line)))
	}
	return b.String()
}

// printable is text without control characters: what workers and other masters
// say must not move a person's cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// knownCommand is reached only with what is no command.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usageError{fmt.Errorf("unknown command %q%s", args[0], didYouMean(settings.Nearest(args[0], names), "rondo help"))}
}

// didYouMean is the end of a message: what is near or, if nothing, who lists all.
func didYouMean(near, lister string) string {
	if near == "" {
		return ": " + lister + " lists them"
	}
	return fmt.Sprintf(": did you mean %q?", near)
}

// flagError says what is wrong with a flag in the words of this program.
func flagError(cmd *cobra.Command, err error) error {
	lister := cmd.CommandPath() + " --help"
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if unknown.GetSpecifiedShortnames() != "" {
			return usageError{fmt.Errorf("unknown flag \"-%s\"%s", unknown.GetSpecifiedShortnames(), didYouMean("", lister))}
		}
		name := unknown.GetSpecifiedName()
		return usageError{fmt.Errorf("unknown flag \"--%s\"%s", name, didYouMean(nearestFlag(cmd, name), lister))}
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usageError{fmt.Errorf("--%s needs a value", missing.GetFlag().Name)}
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usageError{fmt.Errorf("--%s: %w", invalid.GetFlag().Name, invalid.Unwrap())}
	}
	return usageError{err}
}

func nearestFlag(cmd *cobra.Command, name string) string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := settings.Nearest(name, names); near != "" {
		return "--" + near
	}
	return ""
}

// usageArgs makes a usage error of the wrong number of arguments.
func usageArgs(check cobra.PositionalArgs, want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) != nil {
			return usageError{fmt.Errorf("%s takes %s, not %s, like: %s", cmd.CommandPath(), want, counted(len(args), "argument"), cmd.Example)}
		}
		return nil
	}
}
