//go:build docs

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/master"
)

// With this build tag the program is another one: it writes the manual pages and the
// completions of rondo into a directory. What they say is in the command tree, in the
// settings and in docs/.
func init() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go run -tags docs ./cmd/rondo DOCS OUT")
		os.Exit(exitUsage)
	}
	if err := writeDocs(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailed)
	}
	os.Exit(exitDone)
}

// A manual is where the pages go, and what is the same on each of them.
type manual struct {
	out  string
	date time.Time
}

// writeDocs reads the texts of docs and writes all into out.
func writeDocs(docs, out string) error {
	for _, dir := range []string{"man1", "man5", "man7", "bash", "zsh", "fish"} {
		if err := os.MkdirAll(filepath.Join(out, dir), 0o755); err != nil {
			return err
		}
	}
	date, err := sourceDate()
	if err != nil {
		return err
	}
	root, m := newRoot(), manual{out, date}
	if err := m.commands(root); err != nil {
		return err
	}
	if err := m.settings(filepath.Join(docs, "rondo.toml.md")); err != nil {
		return err
	}
	if err := m.protocol(filepath.Join(docs, "../internal/wire/PROTOCOL.md")); err != nil {
		return err
	}
	if err := root.GenBashCompletionFileV2(filepath.Join(out, "bash", "rondo"), true); err != nil {
		return err
	}
	if err := root.GenZshCompletionFile(filepath.Join(out, "zsh", "_rondo")); err != nil {
		return err
	}
	return root.GenFishCompletionFile(filepath.Join(out, "fish", "rondo.fish"), true)
}

// commands writes the page of c, and of each command below it.
func (m manual) commands(c *cobra.Command) error {
	if err := m.write(pageName(c), 1, commandPage(c)); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			if err := m.commands(sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// commandPage is the Markdown of c's page.
func commandPage(c *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# NAME\n\n%s - %s\n\n# SYNOPSIS\n\n**%s**\n", pageName(c), lowerFirst(c.Short), useLine(c))
	if c.Long != "" {
		fmt.Fprintf(&b, "\n# DESCRIPTION\n\n%s\n", c.Long)
	}
	var below, beside []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			below = append(below, fmt.Sprintf("**%s**\n:   %s\n", sub.CommandPath(), sub.Short))
			beside = append(beside, fmt.Sprintf("**%s**(1)", pageName(sub)))
		}
	}
	if len(below) > 0 {
		fmt.Fprintf(&b, "\n# COMMANDS\n\n%s", strings.Join(below, "\n"))
	}
	c.InitDefaultHelpFlag()
	b.WriteString("\n# OPTIONS\n\n")
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "**--" + f.Name + "**"
		if f.Shorthand != "" {
			name = "**-" + f.Shorthand + "**, " + name
		}
		if value != "" {
			name += " *" + value + "*"
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0s" && !strings.Contains(usage, "(default") {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&b, "%s\n:   %s\n\n", name, usage)
	})
	if c.Example != "" {
		fmt.Fprintf(&b, "# EXAMPLES\n\n%s\n\n", indented(c.Example))
	}
	if c.HasParent() {
		beside = append(beside, fmt.Sprintf("**%s**(1)", pageName(c.Parent())))
	}
	fmt.Fprintf(&b, "# SEE ALSO\n\n%s\n", strings.Join(append(beside, "**rondo.toml**(5)", "**rondo-protocol**(7)"), ", "))
	return b.String()
}

func useLine(c *cobra.Command) string {
	if c.Runnable() && !c.HasAvailableSubCommands() {
		return c.UseLine()
	}
	return c.CommandPath() + " COMMAND"
}

func indented(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// settings writes rondo.toml(5): what the file says, and each key.
func (m manual) settings(from string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	b := bytes.NewBuffer(text)
	for _, k := range settings.Keys() {
		fmt.Fprintf(b, "**%s**\n:   %s", k.Name, strings.ReplaceAll(k.Usage, "`", "*"))
		if k.Default != "" {
			fmt.Fprintf(b, " (default %s)", k.Default)
		}
		if k.IsFixed() {
			b.WriteString("; a reload does not change it")
		}
		b.WriteString("\n\n")
	}
	b.WriteString("# SEE ALSO\n\n**rondo-run**(1), **rondo-install**(1), **rondo-reload**(1)\n")
	return m.write("rondo.toml", 5, b.String())
}

// protocol writes rondo-protocol(7): the specification, under the headings of a page.
func (m manual) protocol(from string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	title, rest, found := strings.Cut(string(text), "\n")
	title, heads := strings.CutPrefix(title, "# ")
	if !found || !heads {
		return fmt.Errorf("%s: the first line is no heading", from)
	}
	return m.write("rondo-protocol", 7, fmt.Sprintf("# NAME\n\nrondo-protocol - %s\n\n# DESCRIPTION\n%s", lowerFirst(title), lists(rest)))
}

// lists has the rows of tables as lists of terms: a terminal is too narrow for tables.
func lists(text string) string {
	var b strings.Builder
	var heads []string
	for line := range strings.Lines(text) {
		cells := cellsOf(line)
		switch {
		case cells == nil:
			heads = nil
			b.WriteString(line)
		case heads == nil:
			heads = cells
		case strings.HasPrefix(cells[0], "---"):
		default:
			terms := min(2, len(cells)-1)
			fmt.Fprintf(&b, "**%s**", cells[0])
			for _, cell := range cells[1:terms] {
				b.WriteString(", " + cell)
			}
			var rest []string
			for i := terms; i < len(cells); i++ {
				switch {
				case cells[i] == "":
				case len(cells)-terms == 1:
					rest = append(rest, cells[i])
				default:
					rest = append(rest, heads[i]+": "+cells[i])
				}
			}
			fmt.Fprintf(&b, "\n:   %s\n\n", strings.Join(rest, "; "))
		}
	}
	return b.String()
}

// cellsOf gives the cells of a table's row, or nil.
func cellsOf(line string) []string {
	inner, is := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !is {
		return nil
	}
	cells := strings.Split(strings.TrimSuffix(inner, "|"), "|")
	for i, cell := range cells {
		cells[i] = strings.TrimSpace(cell)
	}
	return cells
}

// write makes the page of a Markdown text.
func (m manual) write(name string, section int, text string) error {
	source := fmt.Sprintf("%% %q %q %q %q %q\n\n%s", strings.ToUpper(name), strconv.Itoa(section), m.date.Format("Jan 2006"), "rondo "+master.Version, "rondo", text)
	path := filepath.Join(m.out, fmt.Sprintf("man%d", section), fmt.Sprintf("%s.%d", name, section))
	return os.WriteFile(path, md2man.Render([]byte(source)), 0o644)
}

// sourceDate is the time of the sources, as make packages tells it, for the same sources
// to give the same pages.
func sourceDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Now().UTC(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
