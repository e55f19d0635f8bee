package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/systemd"
)

// answersIn is how long a master that lives may take to tell its status.
const answersIn = 3 * time.Second

// status is what doctor reads of a master's.
type status struct {
	Refused *string `json:"refused"`
	State   string  `json:"state"`
	Reload  *struct {
		State string `json:"state"`
		Error string `json:"error"`
	} `json:"reload"`
	Listeners []struct {
		Name    string `json:"name"`
		Address string `json:"address"`
		Passed  bool   `json:"passed"`
		Asked   *bool  `json:"asked"` // nil of an older rondo
	} `json:"listeners"`
	Workers []workerStatus `json:"workers"`
}

// workerStatus is of one worker, or of a slot without one.
type workerStatus struct {
	PID      int      `json:"pid"`
	Slot     int      `json:"slot"`
	State    string   `json:"state"`
	Opened   []string `json:"opened"`
	LastExit *struct {
		Reason string `json:"reason"`
	} `json:"last_exit"`
}

// master asks the master itself.
func (e *examination) master(ctx context.Context, u systemd.Unit) {
	ctx, cancel := context.WithTimeout(ctx, answersIn)
	defer cancel()
	var s status
	err := control.At(e.Paths.control(e.name)).Status(ctx, &s)
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.fact("%s was not asked how it is: only root and its own account may", u.Name)
	case ctx.Err() != nil:
		e.wrong(e.systemctl("restart", u.Name), "%s is active, and its master has not answered for %v", u.Name, answersIn)
	case err != nil:
		e.wrong(e.systemctl("restart", u.Name), "%s is active and does not answer: %v", u.Name, err)
	case e.workers(u, s):
		e.unserved(s)
		e.opened(s)
		e.survival(u, s)
		if s.Reload != nil && s.Reload.State == "failed" {
			e.wrong(e.journal(u.Name)+" && "+e.rondo("reload", e.name), "the last reload of %s failed, and its workers are the ones of before: %s", u.Name, s.Reload.Error)
		}
	}
}

// workers are those that should be ready; it says whether one is. A worker that is
// started for the first time is given its time.
func (e *examination) workers(u systemd.Unit, s status) (serves bool) {
	ends, last, serves := s.ends()
	if !serves {
		e.wrong(e.journal(u.Name), "%s has no ready worker%s", u.Name, last)
		return false
	}
	for _, slot := range slices.Sorted(maps.Keys(ends)) {
		e.wrong(e.root(fmt.Sprintf("journalctl -n 20 -t %s/%d", e.name, slot)), "%s has no worker in slot %d: its last one %s", u.Name, slot, ends[slot])
	}
	return true
}

// ends are why the last workers ended of the slots that have no ready one, by slot, and
// of the last of them as the end of a message; serves says whether any worker is ready.
func (s status) ends() (ends map[int]string, last string, serves bool) {
	ends = make(map[int]string)
	for _, w := range s.Workers {
		if w.State != "ready" && w.LastExit != nil {
			ends[w.Slot] = w.LastExit.Reason
			last = ": the last one " + w.LastExit.Reason
		}
	}
	for _, w := range s.Workers {
		if w.State == "ready" {
			delete(ends, w.Slot)
			serves = true
		}
	}
	return ends, last, serves
}

// unserved are the listeners that nobody serves.
func (e *examination) unserved(s status) {
	for _, what := range s.unserved(e.app.Config) {
		e.wrong(e.editSockets(), "%s", what)
	}
}

// unserved tells of each listener that no worker asked for.
func (s status) unserved(config string) (texts []string) {
	for _, l := range s.Listeners {
		if s.State == "ready" && l.Passed && l.Asked != nil && !*l.Asked {
			texts = append(texts, fmt.Sprintf("no worker listens on %s (%s), so its connections wait for ever: map it in %s to what the program listens on, or take it out",
				l.Address, l.Name, config))
		}
	}
	return texts
}

// opened are sockets that workers bound themselves, which may be meant.
func (e *examination) opened(s status) {
	for _, text := range s.opened() {
		e.fact("%s", text)
	}
}

func (s status) opened() (texts []string) {
	for _, w := range s.Workers {
		if len(w.Opened) > 0 {
			texts = append(texts, fmt.Sprintf("the worker in slot %d listens by itself on %s (exclusive, or reusePort): nothing is handed over there, and a reload does not keep that open",
				w.Slot, strings.Join(w.Opened, ", ")))
		}
	}
	return texts
}

// Opened tells, for people, what workers of an app that runs listen on by themselves,
// past its sockets. It is silent about one that does not run, or does not answer.
func (m *Machine) Opened(ctx context.Context, name string) []string {
	ctx, cancel := context.WithTimeout(ctx, answersIn)
	defer cancel()
	var s status
	if control.At(m.Paths.control(name)).Status(ctx, &s) != nil {
		return nil
	}
	return s.opened()
}

// features are what the units of an older systemd are without.
var features = []struct {
	since int
	what  string
}{
	{255, "PollLimitBurst= (so a service that fails at every start is started for each connection)"},
	{257, "PrivateTmp=disconnected (so it has a static account)"},
}

// surroundings are facts of the machine.
func (e *examination) surroundings() {
	var lacks []string
	for _, f := range features {
		if e.version < f.since && !e.user() {
			lacks = append(lacks, f.what)
		}
	}
	if len(lacks) > 0 {
		e.fact("the units leave out what systemd %d does not know: %s", e.version, strings.Join(lacks, ", "))
	}
	for _, name := range e.have.units() {
		for _, path := range e.units[name].DropIns {
			e.fact("%s is changed by %s", name, path)
		}
	}
	if e.user() && !e.Lingers() {
		account := filepath.Base(e.Paths.Linger)
		e.wrong(systemd.Linger(account), "the app ends when %s logs out", account)
	}
}
