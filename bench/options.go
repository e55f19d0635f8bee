package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rondokit/rondo/bench/measure"
)

// options are those of the command line.
type options struct {
	plan         measure.Plan
	measures     []measure.Measure
	rondo, hello string // programs
	apps, npm    string // directories
	out          string // the report's directory
	command      string // what the report names
}

// parseOptions reads the command line. With -list it prints what there is, and the
// error is flag.ErrHelp, as with -help.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	quick := flags.Bool("quick", false, "short rounds and few: rough figures in about two minutes")
	rounds := flags.Int("rounds", 0, "`number` of rounds of every measure; 0 for those of the mode")
	long := flags.Duration("time", 0, "`time` of load for a sample; 0 for that of the mode")
	only := flags.String("only", "", "`measures` to take, a comma between them; empty for all")
	subjects := flags.String("subjects", "", "`subjects` to take them of, a comma between them; empty for all")
	list := flags.Bool("list", false, "print the measures and their subjects")
	flags.StringVar(&o.out, "out", "bench/results", "`directory` for the report")
	flags.StringVar(&o.rondo, "rondo", "bin/rondo", "`program` that is measured")
	flags.StringVar(&o.hello, "hello", "bin/bench-hello", "`program` of the Go app")
	flags.StringVar(&o.apps, "apps", "bench/apps", "`directory` of the Node apps")
	flags.StringVar(&o.npm, "npm", "", "`directory` that bench/deps.sh prints")
	flags.StringVar(&o.command, "command", "bench "+strings.Join(args, " "), "`command` that the report names")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.plan = planned(*quick, *long)
	var err error
	if o.measures, err = chosen(measure.All(o.plan), split(*only), split(*subjects), *rounds); err != nil {
		return options{}, err
	}
	if *list {
		for _, m := range o.measures {
			fmt.Fprintf(out, "%s: %s\n", m.Name, strings.Join(names(m), " "))
		}
		return options{}, flag.ErrHelp
	}
	return o, o.absolute()
}

func planned(quick bool, long time.Duration) measure.Plan {
	plan := measure.Full
	if quick {
		plan = measure.Quick
	}
	if long > 0 {
		plan.Run = long
	}
	return plan
}

// absolute makes the paths good for every directory, and says which are not there.
func (o *options) absolute() error {
	for _, path := range []*string{&o.rondo, &o.hello, &o.apps, &o.npm} {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
		if _, err := os.Stat(*path); err != nil {
			return fmt.Errorf("%w: make bench and make bench-quick build and install what is needed", err)
		}
	}
	return nil
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// chosen gives the measures and the subjects that are named, none of them for all, with
// so many rounds each if that is not 0.
func chosen(all []measure.Measure, only, subjects []string, rounds int) ([]measure.Measure, error) {
	var list []measure.Measure
	var measures, within []string // those that there are
	for _, m := range all {
		measures = append(measures, m.Name)
		if len(only) > 0 && !slices.Contains(only, m.Name) {
			continue
		}
		within = append(within, names(m)...)
		if rounds > 0 {
			m.Rounds = rounds
		}
		m.Subjects = slices.DeleteFunc(slices.Clone(m.Subjects), func(s measure.Subject) bool {
			return len(subjects) > 0 && !slices.Contains(subjects, s.Name)
		})
		if len(m.Subjects) > 0 {
			list = append(list, m)
		}
	}
	if err := known("measure", only, measures); err != nil {
		return nil, err
	}
	return list, known("subject", subjects, within)
}

// known says which of names there is not.
func known(what string, names, all []string) error {
	for _, name := range names {
		if !slices.Contains(all, name) {
			return fmt.Errorf("there is no %s %q: see bench -list", what, name)
		}
	}
	return nil
}

func names(m measure.Measure) []string {
	var list []string
	for _, s := range m.Subjects {
		list = append(list, s.Name)
	}
	return list
}
