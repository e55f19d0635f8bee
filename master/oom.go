package master

import (
	"fmt"

	"github.com/rondokit/rondo/internal/sys"
)

// oomWatch tells which workers the kernel killed for want of memory. Their status says
// only SIGKILL, which anybody may have sent; the kernel counts its kills, but for all
// processes of the service's cgroup together. So each that it counted explains the
// death of one worker, and of none that was started after it.
type oomWatch struct {
	file string // with the count; "" where it cannot be read
	told int    // kills that explained a death, or were before there was a master
}

func newOOMWatch(file string) oomWatch {
	n, _ := sys.OOMKills(file)
	return oomWatch{file: file, told: n}
}

// untold is how many kills have explained no death. One that hit another process of
// the service never does.
func (o *oomWatch) untold() int {
	n, ok := sys.OOMKills(o.file)
	if !ok {
		o.file = "" // what was counted before is not known either, should it come back
	}
	return n - o.told
}

// explain adds to e, the end by SIGKILL of a worker, whether the kernel killed it.
// before is what untold was before the worker was started.
func (o *oomWatch) explain(e *exit, before int) {
	now := o.untold()
	if o.file == "" || now <= before {
		return
	}
	e.reason += fmt.Sprintf(": out of memory (oom_kill rose to %d in %s)", now+o.told, o.file)
	o.told++
}
