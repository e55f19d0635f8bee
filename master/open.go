package master

import (
	"fmt"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
)

// configured gives the table with the passed sockets as its listeners.
func configured(cfg *Config) (*table, error) {
	t := newTable(&cfg.Settings, cfg.Logger, nil, time.Time{})
	for _, s := range cfg.Sockets {
		l, err := passed(s)
		if err != nil {
			return nil, err
		}
		t.listeners = append(t.listeners, l)
	}
	if len(cfg.Sockets) > 0 {
		err := t.configure(cfg.Listen)
		if len(cfg.Stored) > 0 { // what there is, is served
			t.unpassed, err = err, nil
		}
		return t, err
	}
	var names []string
	for _, spec := range cfg.Listen {
		if spec.Kind == settings.KindFD {
			return nil, fmt.Errorf("--listen %s: the init system passed no sockets; start it by its socket unit, or name a port", spec)
		}
		names = append(names, spec.Name)
	}
	return t, t.checkSchedule(names)
}

// open takes the passed sockets, or binds what --listen asks for.
func (l *loop) open() error {
	for i, s := range l.cfg.Sockets {
		fd, err := sys.DupFile(s.File)
		s.File.Close()
		if err != nil {
			return fmt.Errorf("master: socket %s: %w", s.Name, err)
		}
		l.add(l.t.listeners[i], fd)
	}
	var err error
	if l.adopted, err = l.recall(); err != nil {
		return fmt.Errorf("master: what was handed over: %w", err)
	}
	if l.adopted {
		l.setClock()
		l.tellOutdated()
	}
	if len(l.cfg.Sockets) > 0 {
		return nil
	}
	return l.bindListed()
}

// bindListed binds what --listen asks for and is not open yet. A master that has adopted
// workers serves on with what there is, unless another one can do better.
func (l *loop) bindListed() error {
	var bound []*listener
	for _, spec := range l.cfg.Listen {
		if l.adopted && l.reopened(spec) {
			continue
		}
		ls, fd, err := bindListen(spec)
		switch {
		case err == nil:
			l.t.listeners = append(l.t.listeners, ls)
			l.add(ls, fd)
			l.keepListener(ls)
			bound = append(bound, ls)
		case l.adopted && !l.cfg.MustAdopt:
			l.m.log.Error("a socket that is to be listened on cannot be opened; the others are served, and a restart tries again",
				"listener", spec.String(), "err", err)
		default:
			for _, ls := range bound {
				l.unbind(ls)
			}
			return fmt.Errorf("--listen %s: %w", spec, err)
		}
	}
	return nil
}

// add takes fd as the descriptor of ls.
func (l *loop) add(ls *listener, fd int) {
	l.lastNum++
	ls.fd, ls.num = fd, l.lastNum
	l.listeners[ls.num] = ls
}
