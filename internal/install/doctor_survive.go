package install

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rondokit/rondo/internal/cgroup"
	"github.com/rondokit/rondo/internal/systemd"
)

// store is the manager's, in which the workers outlive their master.
func (e *examination) store(u systemd.Unit) {
	if e.need == 0 || u.StoreMax >= e.need || u.NeedsReload || u.Fragment != e.Paths.unit(u.Name) {
		return // it is enough, or not known
	}
	mend, by := e.rondo("install", "--refresh "+e.name), ""
	for _, path := range slices.Backward(u.DropIns) {
		if text, err := os.ReadFile(path); err == nil && strings.Contains("\n"+string(text), "\nFileDescriptorStoreMax=") {
			mend = e.editorOf(path) + " && " + e.systemctl("daemon-reload") + " && " + e.systemctl("restart", u.Name)
			by = ", by " + path
			break
		}
	}
	e.wrong(mend, "%s may keep %d descriptors%s, and needs %d for its workers to outlive a master that is killed: FileDescriptorStoreMax=%[4]d", u.Name, u.StoreMax, by, e.need)
}

// survival is what the master says of the last one's workers, and what the manager
// keeps of its own.
func (e *examination) survival(u systemd.Unit, s status) {
	if s.Refused != nil {
		e.wrong(e.journal(u.Name), "%s could not take over all that the last master left: %s", u.Name, *s.Refused)
	}
	workers := 0
	var known []int
	for _, w := range s.Workers {
		known = append(known, w.PID)
		if w.State == "ready" {
			workers++
		}
	}
	const ofWorker = 3
	if needs := 1 + ofWorker*workers; u.StoreMax >= e.need && u.Stored < needs {
		e.wrong(e.systemctl("restart", u.Name), "the manager keeps %d descriptors of %s, which has %d of its workers alone: those that are not kept end with the master when it is killed",
			u.Stored, u.Name, needs)
	}
	e.leftovers(u, known...)
}

// leftovers are processes of the service that nobody knows of: no worker's, nor the
// master's.
func (e *examination) leftovers(u systemd.Unit, known ...int) {
	if u.Group == "" || os.Geteuid() != 0 && !e.user() {
		return
	}
	list, err := cgroup.Strangers(u.Group, append(known, u.MainPID, u.ControlPID))
	if errors.Is(err, errors.ErrUnsupported) { // there is no such group any more
		return
	}
	if err != nil {
		e.fact("what runs in %s was not looked at: %v", u.Name, err)
		return
	}
	if len(list) == 0 {
		return
	}
	var pids []string
	for _, p := range list {
		pids = append(pids, strconv.Itoa(p.PID))
	}
	e.wrong(e.root("kill -KILL "+strings.Join(pids, " ")), "in %s runs what is no worker's: %s", u.Name, cgroup.List(list))
}
