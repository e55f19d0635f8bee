package master

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
)

// finish answers the operator who gave the command.
func (l *loop) finish(c command, err error) {
	answer := &l.reloading
	if c == cmdScale {
		answer = &l.scaling
	}
	if *answer != nil {
		*answer <- err
		*answer = nil
	}
}

// reload reads the settings anew, on a goroutine, and has the table replace the workers.
func (l *loop) reload(answer chan<- error) {
	if l.readingNext || l.reloading != nil || l.t.reload != nil {
		if answer != nil {
			answer <- ErrBusy
		}
		return
	}
	l.reloading, l.readingNext = answer, true
	// What cannot change is what this master started with; workers of the last one may
	// have come from other settings.
	old, own, next := *l.t.cfg, l.cfg.Settings, l.cfg.Next
	l.helpers.Go(func() { // ends with Next, whose context ends with Run
		cfg, err := nextSettings(l.ctx, old, own, next)
		l.m.send(func(l *loop) {
			l.readingNext = false
			l.apply(event{kind: evReload, cfg: cfg, err: err})
		})
	})
}

// nextSettings gives the settings of the next generation, or why there is none.
func nextSettings(ctx context.Context, old, own settings.Settings, next func(context.Context) (settings.Settings, error)) (*settings.Settings, error) {
	s := old
	if next != nil {
		var err error
		if s, err = next(ctx); err != nil {
			return nil, err
		}
	}
	s, err := s.Resolve()
	if err != nil {
		return nil, err
	}
	if fixed := settings.Diff(own, s); len(fixed) > 0 {
		return nil, fmt.Errorf("%s cannot change while it runs; restart the service", joinWords(fixed))
	}
	if _, err := settings.CheckCommand(s); err != nil {
		return nil, err
	}
	return &s, nil
}

func (l *loop) scale(n int, answer chan<- error) {
	if l.scaling != nil {
		answer <- errors.New("another scale is in progress; try again when it has ended")
		return
	}
	l.scaling = answer
	l.apply(event{kind: evScale, n: n})
}

// one applies an operator's word on one worker.
func (l *loop) one(kind eventKind, id int) error {
	w := l.t.workers[id]
	if w == nil {
		return fmt.Errorf("there is no worker %d; status lists them", id)
	}
	if kind == evDrainWorker {
		if err := l.t.mayReplace(w); err != nil {
			return err
		}
	}
	l.apply(event{kind: kind, worker: id})
	return nil
}

func (l *loop) stopNow(cause error) {
	if l.err == nil {
		l.err = cause
	}
	l.apply(event{kind: evStopNow})
}

func (l *loop) status() Status {
	s := l.t.snapshot()
	s.Version, s.Name, s.PID, s.Adopted = Version, l.cfg.Name, os.Getpid(), l.t.adoptions
	if l.refused != "" {
		s.Refused = &l.refused
	}
	return s
}

// inodes are those of our listeners.
func (l *loop) inodes() map[uint64]bool {
	known := make(map[uint64]bool, len(l.listeners))
	for _, ls := range l.listeners {
		if inode, err := sys.Inode(ls.fd); err == nil {
			known[inode] = true
		}
	}
	return known
}
