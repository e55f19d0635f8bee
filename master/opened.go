package master

import (
	"sync"
	"time"

	"github.com/rondokit/rondo/internal/sys"
)

// openedFor is how long a look at the sockets of workers counts. It reads all that the
// kernel tells of sockets, and who asks for the status may ask without end.
const openedFor = time.Second

// opened is what workers listen on that the master knows nothing of. It is looked for by
// who asks, and not by the loop.
type opened struct {
	mu sync.Mutex // guards the rest
	at time.Time
	of map[int][]string // by pid
}

// tell enters what each of workers has opened; known are the inodes of the listeners.
func (o *opened) tell(workers []Worker, known map[uint64]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var pids []int
	for _, w := range workers {
		if w.PID != 0 {
			pids = append(pids, w.PID)
		}
	}
	if now := time.Now(); o.of == nil || now.After(o.at.Add(openedFor)) {
		o.at, o.of = now, sys.Opened(pids, known)
	}
	for i := range workers {
		workers[i].Opened = o.of[workers[i].PID]
	}
}
