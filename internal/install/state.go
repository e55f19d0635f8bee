package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// State is what became of a file that rondo wrote.
type State string

const (
	AsWritten State = "as written"
	Edited    State = "edited"
	Outdated  State = "outdated" // this rondo would write it otherwise
	NotOurs   State = "not rondo's"
)

// A Verdict is the State of one file.
type Verdict struct {
	Path    string
	State   State
	Version string // of the rondo that wrote it
	Why     string // of a State that needs it
}

// VerifyApp gives the state of each unit of an app that is installed. NAME.toml is
// there to be edited.
func (m *Machine) VerifyApp(name string) ([]Verdict, error) {
	have, err := m.find(name)
	if err != nil {
		return nil, err
	}
	if have.service == nil {
		return nil, m.notInstalled(name)
	}
	var list []Verdict
	for _, f := range have.unitFiles() {
		list = append(list, m.verdict(f, have.service))
	}
	return list, nil
}

// VerifyFile gives the state of a file. That of a socket unit is told from what
// the service beside it says.
func (m *Machine) VerifyFile(path string) (Verdict, error) {
	f, err := read(path)
	if err != nil {
		return Verdict{}, err
	}
	if f == nil {
		return Verdict{}, fmt.Errorf("%s: %w", path, os.ErrNotExist)
	}
	service := f
	if filepath.Ext(path) == ".socket" && filepath.Base(f.key("Service")) == f.key("Service") {
		if service, err = read(filepath.Join(filepath.Dir(path), f.key("Service"))); err != nil {
			return Verdict{}, err
		}
	}
	return m.verdict(f, service), nil
}

// verdict tells the state of f, whose service may be nil.
func (m *Machine) verdict(f, service *file) Verdict {
	h, ours := f.header()
	v := Verdict{Path: f.path, State: AsWritten, Version: h.Version}
	switch ext := filepath.Ext(f.path); {
	case !ours:
		v.State = NotOurs
	case h.Edited:
		v.State = Edited
	case ext != ".socket" && ext != ".service":
	case service == nil:
		v.Why = "whether it is outdated is not known without its service beside it"
	default:
		v.Why = m.outdated(f, service)
		if v.Why != "" {
			v.State = Outdated
		}
	}
	return v
}

// outdated says why this rondo would not write f from what service records, or "".
func (m *Machine) outdated(f, service *file) string {
	p := present{name: strings.TrimSuffix(filepath.Base(service.path), ".service"), service: service}
	app, err := p.app()
	if err != nil {
		return err.Error()
	}
	list, err := m.units(app)
	if err != nil {
		return err.Error()
	}
	for _, would := range list {
		if filepath.Base(would.path) != filepath.Base(f.path) {
			continue
		}
		if would.body() == f.body() {
			return ""
		}
		h, _ := f.header()
		return fmt.Sprintf("written by rondo %s, and %s would write it otherwise", h.Version, m.Version)
	}
	return "the app has no such unit"
}
