package main

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// handled are the signals that a master listens to. SIGPIPE is taken and forgotten: by
// default a Go program dies of it when whoever reads its standard output has gone.
var handled = []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR2, syscall.SIGPIPE}

// program is where this program, of which self is open, was started from. What is there
// now may be another.
func program(self *os.File) string {
	// A link, which may be pointed elsewhere, is not followed, so that what it is pointed
	// at is found.
	if named, err := exec.LookPath(os.Args[0]); err == nil && isSame(named, self) {
		if named, err = filepath.Abs(named); err == nil {
			return named
		}
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return strings.TrimSuffix(path, " (deleted)")
}

func isSame(path string, f *os.File) bool {
	one, err1 := os.Stat(path)
	other, err2 := f.Stat()
	return err1 == nil && err2 == nil && os.SameFile(one, other)
}

// pending are the signals that have come to this process and are not heeded yet.
type pending struct {
	come     chan os.Signal
	unheeded chan os.Signal // taken from come, too late for the master that there was
}

// takeSignals begins to take signals. Those of first have come to the program before.
func takeSignals(first []syscall.Signal) *pending {
	p := &pending{make(chan os.Signal, 16), make(chan os.Signal, 16)}
	for _, sig := range first[:min(len(first), cap(p.come))] {
		p.come <- sig
	}
	p.notify()
	return p
}

func (p *pending) notify() {
	for _, sig := range handled {
		signal.Notify(p.come, sig)
	}
}

// stop ends what takeSignals began.
func (p *pending) stop() { signal.Stop(p.come) }

// tooLate keeps sig for the next master.
func (p *pending) tooLate(sig os.Signal) {
	select {
	case p.unheeded <- sig:
	default: // so many of one kind are one
	}
}

// ignore has this process ignore signals, and gives those that have come and are not
// heeded. A program that takes its place ignores them, too, until it listens; that is
// within some milliseconds, in which a signal is lost. They cannot be held back
// instead: a Go program lets those that would end it through as soon as it begins, and
// before it can listen (runtime.blockableSig), and of SIGTERM it takes the default
// then. That is why systemd-stop does not leave a stop to that signal.
func (p *pending) ignore() (left []syscall.Signal) {
	left = p.left(left)
	for _, sig := range handled {
		signal.Ignore(sig)
	}
	return p.left(left)
}

// left adds what has come to what had.
func (p *pending) left(had []syscall.Signal) []syscall.Signal {
	for {
		var s os.Signal
		select {
		case s = <-p.unheeded:
		case s = <-p.come:
		default:
			return had
		}
		if sig, ok := s.(syscall.Signal); ok && !slices.Contains(had, sig) {
			had = append(had, sig)
		}
	}
}

// again undoes ignore.
func (p *pending) again(left []syscall.Signal) {
	p.notify()
	for _, sig := range left {
		p.come <- sig // it has room for one of each
	}
}
