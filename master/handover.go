package master

import (
	"errors"
	"fmt"
	"os"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/sys"
)

// leaveBehind lets go of the workers and of the listeners that we opened, for the
// next master; or hands them all over.
func (l *loop) leaveBehind() {
	if l.handing {
		var err error
		if l.m.handover, err = l.handOver(); err != nil {
			l.m.log.Error("not all can be handed over; workers that cannot be are ended", "err", err)
		}
		l.output.handOver()
	}
	for id, p := range l.procs {
		if p.process == nil || l.handing && !l.m.handover.isWhole(id) {
			continue // its start is undone, or it is ended
		}
		l.m.poller.Watch(p.process.ExitFD, 0, 0)
		if p.channel >= 0 {
			l.m.poller.Watch(p.channel, 0, 0)
			sys.Close(p.channel)
		}
		p.process.Free()
		p.state.Close()
		delete(l.procs, id)
	}
	for num, ls := range l.listeners {
		if !ls.passed {
			l.m.poller.Watch(ls.fd, 0, 0)
			sys.Close(ls.fd)
			delete(l.listeners, num)
		}
	}
}

// A Handover is what a Master gives to the next one in the same process, or in the
// program that takes its place by exec(2): the Config of that one is to have it. It
// owns its descriptors, all close-on-exec.
type Handover struct {
	Sockets []activation.Socket
	Stored  map[string]int
	Begun   map[string][]byte // what was read of lines of output that have not ended, by the names of their pipes
}

// endedChannel gives a channel that nobody has the other end of: the next master reads
// its end, as this one has read that of a worker's.
func endedChannel() (int, error) {
	ours, theirs, err := sys.Socketpair()
	if err != nil {
		return -1, err
	}
	sys.Close(theirs)
	return ours, nil
}

// mayHandOver tries whether there are descriptors enough to hand all over, while it can
// still be refused.
func (l *loop) mayHandOver() error {
	if l.t.planned || l.readingNext { // which the next master would know nothing of
		return errors.New("a reload is about to begin; try again when status shows it")
	}
	h, err := l.handOver()
	h.close()
	if err != nil {
		return fmt.Errorf("the workers cannot be handed over: %w", err)
	}
	return nil
}

func (h *Handover) close() {
	for _, s := range h.Sockets {
		s.File.Close()
	}
	for _, fd := range h.Stored {
		sys.Close(fd)
	}
}

// handOver gives descriptors of all that the next master needs, or of all but what
// err, the first of several, tells of.
func (l *loop) handOver() (h *Handover, err error) {
	h = &Handover{Stored: map[string]int{}}
	give := func(name string, of func() (int, error)) {
		fd, e := of()
		if e == nil {
			h.Stored[name] = fd
		} else if err == nil {
			err = fmt.Errorf("%s: %w", name, e)
		}
	}
	dup := func(fd int) func() (int, error) { return func() (int, error) { return sys.Dup(fd) } }
	l.numberOwn()
	if l.state != nil {
		give(serviceName, dup(l.state.FD()))
	}
	for id, p := range l.procs {
		if p.process == nil { // its start is undone, or it has ended
			continue
		}
		give(fmt.Sprintf(processName, id), dup(p.process.ExitFD))
		give(fmt.Sprintf(workerName, id), dup(p.state.FD()))
		if p.channel >= 0 {
			give(fmt.Sprintf(channelName, id), dup(p.channel))
		} else { // a Node worker that drains has closed it
			give(fmt.Sprintf(channelName, id), endedChannel)
		}
	}
	for i, s := range l.cfg.Sockets {
		fd, e := sys.Dup(l.t.listeners[i].fd)
		if e == nil {
			s.File = sys.NewFile(fd, s.Name)
			h.Sockets = append(h.Sockets, s)
		} else if err == nil {
			err = fmt.Errorf("socket %s: %w", s.Name, e)
		}
	}
	for _, ls := range l.listeners {
		if ls.kept != 0 {
			give(fmt.Sprintf(listenerName, ls.kept), dup(ls.fd))
		}
	}
	l.output.each(func(name string, r *os.File) {
		give(name, func() (int, error) { return sys.DupFile(r) })
	})
	return h, err
}

// isWhole tells whether h has all of the worker of that id.
func (h *Handover) isWhole(id int) bool {
	for _, name := range []string{channelName, processName, workerName} {
		if _, ok := h.Stored[fmt.Sprintf(name, id)]; !ok {
			return false
		}
	}
	return true
}
