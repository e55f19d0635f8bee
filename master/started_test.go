package master

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A worker that is started when its master ends, and that the loop has not heard of, is
// no next master's: it ends, also when the others are left.
func TestAWorkerThatNobodyHasHeardOfEndsWithItsMaster(t *testing.T) {
	for name, end := range map[string]func(l *loop){
		"stop":     func(*loop) {},
		"leave":    func(l *loop) { l.t.leaving = true },
		"handover": func(l *loop) { l.t.leaving, l.handing = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			x := leaves(t, nil)
			l := x.mustRecall()
			w := l.t.spawn(l.t.slots[0], l.t.generation, l.t.cfg)
			l.spawn(w)
			p := l.procs[w.id]
			l.starts.Wait()
			pid := p.start.process.PID
			if err := unix.Kill(pid, 0); err != nil {
				t.Fatalf("worker %d before the end: %v", pid, err)
			}
			end(l)
			x.end()
			if err := unix.Kill(pid, 0); err != unix.ESRCH {
				t.Errorf("signal 0 to worker %d gives %v, want %v", pid, err, unix.ESRCH)
				unix.Kill(pid, unix.SIGKILL)
			}
			if h := l.m.handover; h != nil {
				h.close()
			}
		})
	}
}
