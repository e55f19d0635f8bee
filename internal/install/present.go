package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/units"
)

// present is what of an app is there: files with rondo's first line. A nil one is
// not there.
type present struct {
	name     string
	service  *file
	sockets  []*file // by name; the app's own first
	config   *file
	sysusers *file
}

// find finds what of the app name is there. A file in its place that is not
// rondo's is none of it; see strangers.
func (m *Machine) find(name string) (*present, error) {
	if err := settings.CheckName(name); err != nil {
		return nil, err
	}
	p := &present{name: name}
	var err error
	for _, f := range []struct {
		path string
		into **file
	}{{m.Paths.unit(name + ".service"), &p.service}, {m.Paths.toml(name), &p.config}, {m.Paths.sysusers(name), &p.sysusers}} {
		if *f.into, err = readOurs(f.path); err != nil {
			return nil, err
		}
	}
	p.sockets, err = m.socketsOf(name)
	return p, err
}

// readOurs is read of a file that rondo wrote; another is not there. At "" is none.
func readOurs(path string) (*file, error) {
	if path == "" {
		return nil, nil
	}
	f, err := read(path)
	if err != nil || f == nil || !f.ours() {
		return nil, err
	}
	return f, nil
}

// socketsOf are the socket units of an app, by name; its own first.
func (m *Machine) socketsOf(name string) (list []*file, err error) {
	paths, err := m.unitFiles(".socket")
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		f, err := readOurs(path)
		switch {
		case err != nil:
			return nil, err
		case f == nil || f.key("Service") != name+".service":
		case path == m.Paths.unit(name+".socket"):
			list = slices.Insert(list, 0, f)
		default:
			list = append(list, f)
		}
	}
	return list, nil
}

// unitFiles are the paths of the unit files of a kind, sorted.
func (m *Machine) unitFiles(suffix string) ([]string, error) {
	return filesIn(m.Paths.Units, suffix)
}

// filesIn are the paths of the files in dir that end in suffix, sorted.
func filesIn(dir, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && e.Type().IsRegular() {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

// Names are the apps that are installed, sorted.
func (m *Machine) Names() ([]string, error) {
	paths, err := m.unitFiles(".service")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, path := range paths {
		f, err := readOurs(path)
		if err != nil {
			return nil, err
		}
		if f != nil {
			names = append(names, strings.TrimSuffix(filepath.Base(path), ".service"))
		}
	}
	return names, nil
}

// files are all that are there, the units last.
func (p *present) files() []*file {
	var list []*file
	for _, f := range append([]*file{p.sysusers, p.config}, p.unitFiles()...) {
		if f != nil {
			list = append(list, f)
		}
	}
	return list
}

// unitFiles are the units that are there, the sockets first.
func (p *present) unitFiles() []*file {
	list := slices.Clone(p.sockets)
	if p.service != nil {
		list = append(list, p.service)
	}
	return list
}

// units are the names of the units that are there, the one to start first.
func (p *present) units() []string { return unitNames(p.unitFiles()) }

func unitNames(files []*file) []string {
	var names []string
	for _, f := range files {
		if ext := filepath.Ext(f.path); ext == ".socket" || ext == ".service" {
			names = append(names, filepath.Base(f.path))
		}
	}
	return names
}

// app is what the units were rendered from.
func (p *present) app() (units.App, error) {
	if p.service == nil {
		return units.App{}, fmt.Errorf("%s.service is not there", p.name)
	}
	return p.service.app(p.name)
}

// app is what f was rendered from, which is to be the app called name.
func (f *file) app(name string) (units.App, error) {
	a, err := units.File{Name: filepath.Base(f.path), Text: f.text}.App()
	if err != nil {
		return a, errors.New(strings.TrimPrefix(err.Error(), "units: "))
	}
	if a.Name != name {
		return a, fmt.Errorf("%s is of the app %q: was it copied?", f.path, a.Name)
	}
	return a, nil
}

// notInstalled says so, in one sentence.
func (m *Machine) notInstalled(name string) error {
	return noUnit(name, m.Paths.unit(name+".service"))
}

// noUnit says that rondo did not write what is at path, or that nothing is.
func noUnit(name, path string) error {
	f, err := read(path)
	if err == nil && f != nil {
		return fmt.Errorf("%s is not rondo's: it is left alone", f.path)
	}
	return fmt.Errorf("%s is not installed: rondo wrote no %s", name, path)
}
