package install

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/systemd"
)

// master asks the master itself.
func (e *examination) master(ctx context.Context, u systemd.Unit) {
	path := e.Paths.control(e.name)
	if os.Geteuid() != 0 && !e.user() {
		e.fact("%s was not asked how it is: only root and its own account may", u.Name)
		return
	}
	var s struct {
		Workers []struct {
			State    string `json:"state"`
			LastExit *struct {
				Reason string `json:"reason"`
			} `json:"last_exit"`
		} `json:"workers"`
	}
	if err := control.At(path).Status(ctx, &s); err != nil {
		e.wrong(e.systemctl("restart", u.Name), "%s is active and does not answer: %v", u.Name, err)
		return
	}
	why := ""
	for _, w := range s.Workers {
		if w.State == "ready" {
			return
		}
		if w.LastExit != nil {
			why = ": the last one " + w.LastExit.Reason
		}
	}
	e.wrong(e.journal(u.Name), "%s has no ready worker%s", u.Name, why)
}

// features are what the units of an older systemd are without.
var features = []struct {
	since int
	what  string
}{
	{254, "RestartSteps= (a service that fails is tried again every 100 ms)"},
	{255, "PollLimitBurst= (a service that fails at every start is started for each connection)"},
	{257, "PrivateTmp=disconnected (it has a static account)"},
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
		e.fact("systemd %d has no %s", e.version, strings.Join(lacks, ", no "))
	}
	for _, name := range e.have.units() {
		for _, path := range e.units[name].DropIns {
			e.fact("%s is changed by %s", name, path)
		}
	}
	if e.user() && !e.Lingers() {
		e.wrong("loginctl enable-linger", "the app ends when %s logs out", filepath.Base(e.Paths.Linger))
	}
}
