package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/stat"
)

// Markdown writes the whole report: the README's table first, then all that was
// measured.
func Markdown(w io.Writer, run *result.Run) error {
	t := &text{w: w}
	t.line("# Benchmarks of rondo\n")
	t.head(run)
	t.trouble(run)
	t.claims(run)
	for _, m := range run.Measures {
		t.measure(run, m)
	}
	return t.err
}

// Table writes only what the README shows.
func Table(w io.Writer, run *result.Run) error {
	t := &text{w: w}
	t.claims(run)
	t.line("%s; %s; `%s`", run.Machine, run.Began.Format("2006-01-02"), run.Command)
	return t.err
}

// text writes lines until one fails.
type text struct {
	w   io.Writer
	err error
}

func (t *text) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format+"\n", args...)
	}
}

func (t *text) head(run *result.Run) {
	t.line("| | |\n|---|---|")
	t.line("| machine | %s |", run.Machine)
	t.line("| system | %s, Linux %s |", run.Machine.System, run.Machine.Kernel)
	t.line("| date | %s, took %s |", run.Began.Format("2006-01-02 15:04 MST"), run.Took)
	t.line("| command | `%s` |", run.Command)
	for _, p := range run.Machine.Programs {
		t.line("| %s | %s |", p.Name, p.Version)
	}
	t.line("")
	t.line("All sides serve the same trivial app on loopback, one after the other in each round, and the load comes from the same machine. " +
		"A figure is the median of the rounds, a ratio that of the ratios within each round; in brackets is the interval of the sign test, " +
		"which holds the true median with 95%% or more, and of fewer than six rounds their range.\n")
}

// trouble tells what failed, and whether the machine was busy with other things.
func (t *text) trouble(run *result.Run) {
	for _, f := range run.Failures {
		t.line("**Failed**: %s, %s, round %d: %s\n", f.Measure, f.Subject, f.Round, oneLine(f.Error))
	}
	if n, most := run.Disturbed(); n > 0 {
		t.line("**Disturbed**: in %d of %d samples others, or the hypervisor, used more than %.0f%% of the processors' time, at most %.0f%%.\n",
			n, len(run.Samples), result.Busy*100, most*100)
	}
}

func (t *text) claims(run *result.Run) {
	t.line("| measure | result | interval | target | |\n|---|---|---|---|---|")
	for _, c := range claims() {
		f := c.find(run)
		if f.summary.N == 0 {
			continue
		}
		t.line("| %s | %s | %s | %s | %s |", f.title, number(f.summary.Median, f.unit), interval(f.summary, f.unit), f.want(), f.verdict())
	}
	t.line("")
}

func (f finding) want() string {
	switch {
	case f.bound == none:
		return ""
	case f.low > 0:
		return fmt.Sprintf("%s %s, interval from %s", f.bound, plain(f.target, f.unit), plain(f.low, f.unit))
	}
	return fmt.Sprintf("%s %s", f.bound, plain(f.target, f.unit))
}

func (f finding) verdict() string {
	verdict := "**missed**"
	switch {
	case f.bound == none:
		return ""
	case f.met():
		verdict = "met"
	}
	if f.low == 0 && f.summary.Low < f.target && f.target < f.summary.High {
		verdict += ", within the interval"
	}
	return verdict
}

func (t *text) measure(run *result.Run, m result.Measure) {
	t.line("## %s\n\n%s\n", m.Title, m.About)
	row, rule := "| |", "|---|"
	for _, x := range m.Metrics {
		row, rule = row+" "+withUnit(x.Title, x.Unit)+" |", rule+"---|"
	}
	t.line("%s\n%s", row, rule)
	for _, s := range m.Subjects {
		row := "| " + s.Title + " |"
		for _, x := range m.Metrics {
			summary := run.Summary(m.Name, s.Name, x.Name)
			if summary.N == 0 {
				row += " |"
				continue
			}
			row += fmt.Sprintf(" %s %s |", number(summary.Median, ""), interval(summary, ""))
		}
		t.line("%s", row)
	}
	t.line("")
}

func withUnit(title, unit string) string {
	if unit == "" {
		return title
	}
	return title + ", " + unit
}

func interval(s stat.Summary, unit string) string {
	if s.N < 2 {
		return ""
	}
	return fmt.Sprintf("[%s, %s]", number(s.Low, unit), number(s.High, unit))
}

// number is v with three digits that mean something.
func number(v float64, unit string) string {
	digits := 0
	if a := math.Abs(v); a < 100 && v != math.Trunc(v) {
		digits = 1
		if a < 10 {
			digits = 2
		}
	}
	return joinUnit(group(fmt.Sprintf("%.*f", digits, v)), unit)
}

// plain is v as it was written in the target.
func plain(v float64, unit string) string { return joinUnit(fmt.Sprint(v), unit) }

func joinUnit(v, unit string) string {
	switch unit {
	case "":
		return v
	case "x", "/s":
		return v + unit
	case "1/s":
		return v + "/s"
	}
	return v + " " + unit
}

// group puts spaces between thousands.
func group(v string) string {
	whole, rest, found := strings.Cut(v, ".")
	for i := len(whole) - 3; i > len(whole)-len(strings.TrimPrefix(whole, "-")); i -= 3 {
		whole = whole[:i] + " " + whole[i:]
	}
	if found {
		return whole + "." + rest
	}
	return whole
}

// oneLine is the beginning of s in one line.
func oneLine(s string) string {
	const most = 300
	if s = strings.Join(strings.Fields(s), " "); len(s) > most {
		return s[:most] + " ..."
	}
	return s
}
