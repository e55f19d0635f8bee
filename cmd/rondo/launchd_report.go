package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/rondokit/rondo/internal/install"
	"github.com/rondokit/rondo/internal/launchctl"
	"github.com/rondokit/rondo/internal/settings"
)

// A launchdReport tells a person of a plan.
type launchdReport struct {
	printer
	launchd *install.Launchd
	*install.LaunchdPlan
}

func (r launchdReport) job() string { return r.launchd.Label(r.App.Name) }

// unchanged is about a plan without changes.
func (r launchdReport) unchanged() {
	r.same(r.App.Name, r.Edited)
	r.absent()
	r.edited(r.Edited)
}

// absent tells of a job that launchd does not have, as far as there is a launchd.
func (r launchdReport) absent() {
	if !r.Loaded && launchctl.Check() == nil {
		r.line("launchd does not have %s: %s", r.job(), r.launchd.Bootstrap(r.App.Name))
	}
}

// dryRun prints new files whole, of others what differs, and what would follow.
func (r launchdReport) dryRun() {
	r.files(r.Changes)
	r.differences(r.Changes)
	r.edited(r.Edited)
	if r.First {
		r.line("%s would run as %s", r.App.Name, r.Account)
		for _, note := range r.Notes {
			r.line("%s", note)
		}
		made := r.App.LogFile()
		if r.App.RuntimeDirectory != "" {
			made += " and " + r.App.RuntimeDirectory
		}
		r.line("%s would be made, if not there, and belong to it", made)
	}
	if r.Reopens {
		r.line("only with --apply-sockets: %s", r.gap())
	}
	for _, command := range r.launchd.Commands(r.LaunchdPlan) {
		r.line("%s", command)
	}
	r.line("nothing was changed: this was a dry run")
	r.line("%s", untried)
}

// gap is what taking the property list anew means for the clients.
func (r launchdReport) gap() string {
	drain := r.Settings.DrainTimeout + r.Settings.KillTimeout
	return fmt.Sprintf("%s finishes what it holds (at most %v), and connections that wait or come until the sockets are open again are refused",
		r.job(), drain.Round(time.Second))
}

// done tells what was done, what is now, and what a person may do next. job is nil where
// launchd does not have it.
func (r launchdReport) done(job *launchctl.Job) {
	if r.First {
		r.line("%s is installed, and runs as %s", r.App.Name, r.Account)
	}
	r.wrote(r.Changes)
	r.edited(r.Edited)
	if r.First {
		for _, note := range r.Notes {
			r.line("%s", note)
		}
	}
	r.state(job)
	r.applies()
	if r.First {
		r.next()
	}
	r.line("%s", untried)
}

// state is the job as launchd has it.
func (r launchdReport) state(job *launchctl.Job) {
	listens := r.listens()
	switch {
	case job == nil:
		r.absent()
	case !r.First && !r.Reopen: // which is as before
	case len(listens) == 0:
		r.line("%s is with launchd, and starts now", r.job())
	default:
		r.line("launchd listens on %s, and starts %s with the first connection", strings.Join(listens, ", "), r.job())
	}
}

// listens are the addresses of the sockets.
func (r launchdReport) listens() []string {
	var list []string
	for _, l := range r.App.Listeners {
		if l.Kind == settings.KindFD {
			continue
		}
		l.Name, l.Want = "", nil
		list = append(list, l.String())
	}
	return list
}

// applies says how a change comes to a job that runs.
func (r launchdReport) applies() {
	switch {
	case r.Reopens:
		r.line("the sockets were opened anew")
	case r.Restarts:
		r.line("%s runs as before until: %s (what it holds then may be cut)", r.job(), r.launchd.Kickstart(r.App.Name))
	case r.Reloads:
		r.line("%s runs as before until: %s (no connection is lost)", r.job(), r.launchd.Command("reload", r.App.Name))
	}
}

// next are the commands of the days to come.
func (r launchdReport) next() {
	name := r.App.Name
	r.line("next:")
	for _, row := range [][2]string{
		{"launchctl print " + r.launchd.Domain.Target(r.job()), "how launchd has the job"},
		{r.launchd.Command("status", name), "who serves, since when, how many connections"},
		{r.launchd.Command("reload", name), "after each deploy: new workers, and no connection is lost"},
		{r.launchd.Command("logs", name), "what it says"},
		{r.launchd.Command("doctor", name), "what is wrong, and the command that mends it"},
		{r.launchd.Command("uninstall", name), "takes all of this away, but the log"},
	} {
		r.line("  %-46s %s", row[0], row[1])
	}
}
