package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/rondokit/rondo/internal/cgroup"
)

// A mark is a file in the runtime directory of a service. It is there from before its
// first worker until a master has ended the service, over upgrades, restarts and
// crashes: a process that has ended well and left it there was no master.
type mark struct {
	path string // "": none
	log  *slog.Logger
}

func markPath() string {
	dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "unended")
}

// newMark makes it, in a service of systemd.
func newMark(log *slog.Logger) *mark {
	m := &mark{log: log}
	if cgroup.Unit() == "" {
		return m
	}
	if m.path = markPath(); m.path != "" {
		if err := os.WriteFile(m.path, nil, 0o600); err != nil {
			log.Warn("a program that is no rondo would end the workers if an upgrade led to it", "err", err)
		}
	}
	return m
}

// remove says that a master has ended the service.
func (m *mark) remove() {
	if m.path == "" {
		return
	}
	if err := os.Remove(m.path); err != nil && !os.IsNotExist(err) {
		// So it is when the unit has another account by now: that is for a stop or a
		// restart by systemd, which know what follows.
		m.log.Info("if nobody has systemd stop the service, it starts it again, since this cannot be removed", "err", err)
	}
}

// isMarked tells whether a service that has ended was not ended by a master.
func isMarked() bool {
	path := markPath()
	if path == "" {
		return false
	}
	_, err := os.Lstat(path)
	return err == nil
}
