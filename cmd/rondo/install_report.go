package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rondokit/rondo/internal/install"
	"github.com/rondokit/rondo/internal/systemd"
)

// A report tells a person of a plan.
type report struct {
	printer
	machine *install.Machine
	*install.Plan
}

// sudo is command as a person has to type it.
func (r report) sudo(command string) string {
	if r.user() {
		return command
	}
	return "sudo " + command
}

func (r report) user() bool { return r.machine.Scope == systemd.User }

func (r report) systemctl(words ...string) string { return r.machine.Scope.Systemctl(words...) }

func (r report) service() string { return r.App.Name + ".service" }

// unchanged is about a plan without changes: all is as asked, but for what a person
// edited.
func (r report) unchanged() {
	r.same(r.App.Name, r.Edited)
	for _, name := range r.Shut {
		r.line("%s does not listen: %s", name, r.sudo(r.systemctl("start", name)))
	}
	r.kept()
}

// opened warns of what workers that run listen on past the sockets of the unit.
func (r report) opened(ctx context.Context) {
	for _, text := range r.machine.Opened(ctx, r.App.Name) {
		r.line("%s", text)
	}
}

// dryRun prints new files whole, of others what differs, and what would follow.
func (r report) dryRun() {
	r.files(r.Changes)
	r.differences(r.Changes)
	r.kept()
	if r.First {
		r.line("%s would run as %s", r.App.Name, r.Account)
		for _, note := range r.Notes {
			r.line("%s", note)
		}
	}
	if len(r.Reopens) > 0 {
		r.line("only with --apply-sockets: %s", r.gap())
	}
	r.line("nothing was changed: this was a dry run")
}

// kept are the hands of others.
func (r report) kept() {
	r.edited(r.Edited)
	for _, path := range r.DropIns {
		r.line("%s stays, and changes what the units say", path)
	}
}

// gap is what opening the sockets anew means for the clients.
func (r report) gap() string {
	drain := r.Settings.DrainTimeout + r.Settings.KillTimeout
	return fmt.Sprintf("%s finishes what it holds (at most %v), and connections that wait or come until the sockets are open again are refused or reset",
		r.service(), drain.Round(time.Second))
}

// done tells what was done, what is now, and what a person may do next.
func (r report) done(list []systemd.Unit) {
	name := r.App.Name
	if r.First {
		r.line("%s is installed, and runs as %s", name, r.Account)
	}
	r.wrote(r.Changes)
	r.kept()
	listens := r.listens(list)
	if r.First {
		for _, note := range r.Notes {
			r.line("%s", note)
		}
		if listens == 0 {
			r.line("%s runs", r.service())
		} else {
			r.line("%s starts with the first connection", r.service())
		}
		r.next()
		return
	}
	r.applies(listens)
}

// listens tells where, and how many units do.
func (r report) listens(list []systemd.Unit) (n int) {
	for _, u := range list {
		if filepath.Ext(u.Name) != ".socket" {
			continue
		}
		if u.Active != "active" {
			r.line("%s does not listen: %s", u.Name, r.sudo(r.systemctl("start", u.Name)))
			continue
		}
		n++
		closed := r.machine.Closed(u)
		var addresses []string
		for _, l := range u.Listen {
			if !slices.Contains(closed, l.Address) {
				addresses = append(addresses, l.Address)
			}
		}
		if len(addresses) > 0 {
			r.line("%s listens on %s", u.Name, strings.Join(addresses, ", "))
		}
		if len(closed) > 0 {
			r.line("%s does not listen on %s: %s", u.Name, strings.Join(closed, ", "), r.sudo(r.systemctl("restart", u.Name)))
		}
	}
	return n
}

// applies says how a change comes to a service that runs.
func (r report) applies(listens int) {
	switch {
	case len(r.Reopens) > 0:
		r.line("the sockets were opened anew")
	case r.Restarts && listens > 0:
		r.line("%s runs as before until: %s (no connection is lost)", r.service(), r.sudo(r.systemctl("restart", r.App.Name)))
	case r.Restarts:
		r.line("%s runs as before until: %s", r.service(), r.sudo(r.systemctl("restart", r.App.Name)))
	case r.Reloads:
		r.line("%s runs as before until: %s (no connection is lost)", r.service(), r.sudo("rondo reload "+r.App.Name))
	}
}

// next are the commands of the days to come.
func (r report) next() {
	name := r.App.Name
	uninstall := "rondo uninstall "
	logs := "rondo logs "
	doctor := "rondo doctor "
	if r.user() {
		doctor = "rondo doctor --user "
		uninstall = "rondo uninstall --user "
		logs = "rondo logs --user "
	}
	r.line("next:")
	status := []string{"status", r.Primary}
	if r.Primary != r.service() {
		status = append(status, r.service())
	}
	for _, row := range [][2]string{
		{r.systemctl(status...), "how the units are"},
		{r.sudo("rondo status " + name), "who serves, since when, how many connections"},
		{r.sudo("rondo reload " + name), "after each deploy: new workers, and no connection is lost"},
		{logs + name, "what it says"},
		{r.sudo(doctor + name), "what is wrong, and what workers listen on past the sockets above"},
		{r.sudo(uninstall + name), "takes all of this away"},
	} {
		r.line("  %-46s %s", row[0], row[1])
	}
	if r.user() && !r.machine.Lingers() {
		r.line("it ends when you log out, unless: %s", systemd.Linger(filepath.Base(r.machine.Paths.Linger)))
	}
}
