package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/rondokit/rondo/internal/install"
)

// A printer tells a person of files, for any init.
type printer struct{ out io.Writer }

func (p printer) line(format string, args ...any) {
	fmt.Fprintln(p.out, printable(fmt.Sprintf(format, args...)))
}

// same is about an app of which nothing is to be changed: all is as asked, but for what a
// person edited.
func (p printer) same(name string, edited []install.Change) {
	if slices.ContainsFunc(edited, install.Change.Matters) {
		p.line("nothing was changed: %s was edited since, and differs from what you say", name)
	} else {
		p.line("%s is installed like this already: nothing was changed", name)
	}
}

// files are those that are new, whole.
func (p printer) files(changes []install.Change) {
	for _, c := range changes {
		if c.Old == "" {
			p.line("# %s", c.Path)
			fmt.Fprintln(p.out, c.New)
		}
	}
}

// differences shows what changes of files that are there.
func (p printer) differences(changes []install.Change) {
	for _, c := range changes {
		switch {
		case c.New == "":
			p.line("%s goes", c.Path)
		case c.Old != "":
			p.line("%s", c.Path)
			for _, line := range c.Lines() {
				p.line("  %s", line)
			}
		}
	}
}

// edited are the files that a person edited, and that stay so.
func (p printer) edited(changes []install.Change) {
	for _, c := range changes {
		if !c.Matters() {
			p.line("%s was edited, and stays so", c.Path)
			continue
		}
		p.line("%s was edited, and stays so (--overwrite gives it up):", c.Path)
		for _, line := range c.Lines() {
			p.line("  %s", line)
		}
	}
}

// wrote are the files that were changed.
func (p printer) wrote(changes []install.Change) {
	for _, c := range changes {
		if c.New == "" {
			p.line("  removed %s", c.Path)
		} else {
			p.line("  wrote %s", c.Path)
		}
	}
}
