package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/fault"
	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/master"
)

// An upgrade is exec(2) in place: the new program is the same process, with the same
// descriptors, of which the environment tells. It also has the old program open, and
// goes back to it when it cannot serve.

// handoverVariable tells a program that takes the place of another what it got.
const handoverVariable = "RONDO_HANDOVER"

// passedOn is the text of that variable.
type passedOn struct {
	Sockets []passedSocket    `json:"sockets"`
	Stored  map[string]int    `json:"stored"`
	Begun   map[string][]byte `json:"begun,omitempty"`
	Old     int               `json:"old"`              // the program that was here before; 0 none
	Program string            `json:"program"`          // where programs to upgrade to are found
	Copy    string            `json:"copy,omitempty"`   // of the program that was gone back to, which removes it
	Version string            `json:"version"`          // its version
	Failed  string            `json:"failed,omitempty"` // why the program that it gave way to gave up

	Signals []syscall.Signal `json:"signals,omitempty"` // that have come and are not heeded
}

type passedSocket struct {
	FD      int             `json:"fd"`
	Name    string          `json:"name"`
	Index   int             `json:"index"`
	Kind    activation.Kind `json:"kind"`
	Address string          `json:"address"`
	V6Only  bool            `json:"v6only,omitempty"`

	file *os.File // that has FD, in the program that passes it on
}

// takePassedOn reads and removes the variable. It gives nil where there is none.
func takePassedOn() (*passedOn, error) {
	text, ok := os.LookupEnv(handoverVariable)
	os.Unsetenv(handoverVariable)
	if !ok {
		return nil, nil
	}
	// One that was gone back to was started from a descriptor, and is called by its number.
	sys.NameProcess("rondo")
	p := new(passedOn)
	if err := json.Unmarshal([]byte(text), p); err != nil {
		return nil, fmt.Errorf("%s: %w", handoverVariable, err)
	}
	return p, nil
}

// signals are those that have come and are not heeded.
func (p *passedOn) signals() []syscall.Signal {
	if p == nil {
		return nil
	}
	return p.Signals
}

// sockets gives the listening sockets: duplicates, where p is needed to go back.
func (p *passedOn) sockets() ([]activation.Socket, error) {
	var all []activation.Socket
	for _, ps := range p.Sockets {
		s := activation.Socket{Name: ps.Name, Index: ps.Index, Kind: ps.Kind, Listening: true, V6Only: ps.V6Only, File: ps.file}
		if ps.Kind == activation.Unix {
			s.Addr = &net.UnixAddr{Name: ps.Address, Net: "unix"}
		} else {
			ap, err := netip.ParseAddrPort(ps.Address)
			if err != nil {
				return nil, fmt.Errorf("socket %s: %w", ps.Name, err)
			}
			s.Addr = net.TCPAddrFromAddrPort(ap)
		}
		fd, err := ps.FD, error(nil)
		if p.canGoBack() {
			fd, err = sys.Dup(ps.FD)
		}
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("socket %s: %w", ps.Name, err)
		}
		if s.File == nil || p.canGoBack() {
			s.File = sys.NewFile(fd, ps.Name)
		}
		all = append(all, s)
	}
	if !p.canGoBack() {
		p.Sockets = nil
	}
	return all, nil
}

func closeAll(sockets []activation.Socket) {
	for _, s := range sockets {
		s.File.Close()
	}
}

// stored gives the rest itself: nobody goes back to p.
func (p *passedOn) stored() map[string]int {
	all := p.Stored
	p.Stored = nil
	return all
}

// copies gives duplicates of the rest, or of nothing.
func (p *passedOn) copies() (map[string]int, error) {
	all := map[string]int{}
	for name, fd := range p.Stored {
		dup, err := sys.Dup(fd)
		if err != nil {
			for _, dup := range all {
				sys.Close(dup)
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[name] = dup
	}
	return all, nil
}

// upgrading says which program this is, and where the next one is found.
func (p *passedOn) upgrading() (upgrading, error) {
	defer p.removeCopy()
	self, err := sys.OpenProgram()
	if err != nil {
		return upgrading{}, fmt.Errorf("the program that this is cannot be opened, and could not be gone back to: %w", err)
	}
	if p != nil && p.Program != "" {
		return upgrading{program: p.Program, self: self}, nil
	}
	return upgrading{program: program(self), self: self}, nil
}

// outcome is what p tells of the upgrade that it is part of.
func (p *passedOn) outcome(log *slog.Logger) *upgradeStatus {
	switch {
	case p == nil:
		return nil
	case p.Failed != "":
		log.Error("upgrade failed; the version before serves on", "version", master.Version, "err", p.Failed)
		return &upgradeStatus{From: p.Version, Error: &p.Failed}
	}
	return &upgradeStatus{From: p.Version}
}

// served says in the log that an upgrade has gone well, and lets go of all that was
// handed over; the master has its own by now.
func (p *passedOn) served(log *slog.Logger) {
	if p == nil {
		return
	}
	if p.Failed == "" {
		log.Info("upgraded", "version", master.Version, "before", p.Version)
	}
	p.close()
}

// close lets go of all that was handed over.
func (p *passedOn) close() {
	for _, s := range p.Sockets {
		if s.file != nil {
			s.file.Close()
		} else {
			sys.Close(s.FD)
		}
	}
	for _, fd := range p.Stored {
		sys.Close(fd)
	}
	if p.Old > 0 {
		sys.Close(p.Old)
	}
	p.Sockets, p.Stored, p.Old = nil, nil, 0
}

// passOn is what h is for the next program.
func passOn(h *master.Handover) *passedOn {
	p := &passedOn{Stored: h.Stored, Begun: h.Begun, Version: master.Version}
	for _, s := range h.Sockets {
		ps := passedSocket{FD: -1, Name: s.Name, Index: s.Index, Kind: s.Kind, Address: s.Addr.String(), V6Only: s.V6Only, file: s.File}
		if raw, err := s.File.SyscallConn(); err == nil { // it is open
			_ = raw.Control(func(fd uintptr) { ps.FD = int(fd) })
		}
		p.Sockets = append(p.Sockets, ps)
	}
	return p
}

// become has the program at path take the place of this one, with p and the signals
// that nobody has heeded. It returns only when that fails.
func (p *passedOn) become(path string, env []string, sigs *pending) error {
	for _, fd := range p.descriptors() {
		if err := sys.KeepOnExec(fd); err != nil {
			return err
		}
		defer sys.CloseOnExec(fd)
	}
	fault.At("before exec")
	p.Signals = sigs.ignore()
	defer func() { sigs.again(p.Signals) }()
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = syscall.Exec(path, os.Args, append(env, handoverVariable+"="+string(text)))
	return fmt.Errorf("exec %s: %w", path, err)
}

func (p *passedOn) descriptors() []int {
	var all []int
	for _, s := range p.Sockets {
		all = append(all, s.FD)
	}
	for _, fd := range p.Stored {
		all = append(all, fd)
	}
	if p.Old > 0 {
		all = append(all, p.Old)
	}
	return all
}

// giveWay has the program at path take the place of this one, self, which it can go back
// to. It returns only when that fails.
func (p *passedOn) giveWay(path string, self *os.File, env []string, sigs *pending) (err error) {
	if p.Old, err = sys.DupFile(self); err != nil {
		return err
	}
	p.Program = path
	err = p.become(path, append(os.Environ(), env...), sigs)
	sys.Close(p.Old)
	p.Old = 0
	return err
}

// canGoBack tells whether another program was here before.
func (p *passedOn) canGoBack() bool { return p != nil && p.Old > 0 }

// goBack has the program that was here before take its place again, because this one
// cannot serve for the reason of cause. It returns cause when there is none, or when
// that fails, too.
func (p *passedOn) goBack(cause error, env []string, sigs *pending) error {
	if !p.canGoBack() {
		return cause
	}
	p.Failed = fmt.Sprintf("version %s gave up: %s", master.Version, oneLine(cause))
	old, temporary, err := sys.ProgramPath(p.Old)
	if err != nil {
		return errors.Join(cause, err)
	}
	p.Old = 0
	if temporary {
		p.Copy = old
		defer p.removeCopy()
	}
	return errors.Join(cause, p.become(old, env, sigs))
}

// removeCopy removes the copy of a program that was gone back to.
func (p *passedOn) removeCopy() {
	if p != nil && p.Copy != "" {
		os.RemoveAll(filepath.Dir(p.Copy))
	}
}

// tryPatience bounds the trial of a new program.
const tryPatience = 10 * time.Second

// tryUpgrade tells whether the program at path can take the place of this one.
func tryUpgrade(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, tryPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "state-format")
	cmd.WaitDelay = time.Second
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if text := oneLine(errors.New(said.String())); text != "" {
			err = fmt.Errorf("%w: %.300s", err, text)
		}
		return fmt.Errorf("%s does not start: %w", path, err)
	}
	var can stateFormat
	if err := json.Unmarshal([]byte(said.String()), &can); err != nil || can.Version == "" {
		return fmt.Errorf("%s is no rondo that can take over: it said %.100q", path, said.String())
	}
	if can.Format != state.Format() {
		return fmt.Errorf("version %s keeps its state in format %d, this one (%s) in format %d: restart the service instead",
			can.Version, can.Format, master.Version, state.Format())
	}
	return nil
}

// stateFormat is what the hidden command of that name prints.
type stateFormat struct {
	Version string `json:"version"`
	Format  uint32 `json:"format"`
}
