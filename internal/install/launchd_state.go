package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// VerifyApp gives the state of the property list of an app that is installed. NAME.toml
// is there to be edited.
func (l *Launchd) VerifyApp(name string) ([]Verdict, error) {
	have, err := l.find(name)
	if err != nil {
		return nil, err
	}
	if have.job == nil {
		return nil, l.notInstalled(name)
	}
	return []Verdict{l.verdict(have.job)}, nil
}

// LogFile is where launchd writes what an app says, which is installed.
func (l *Launchd) LogFile(name string) (string, error) {
	have, err := l.find(name)
	if err != nil {
		return "", err
	}
	if have.job == nil {
		return "", l.notInstalled(name)
	}
	app, err := have.job.app(name)
	if err != nil {
		return "", err
	}
	return app.LogFile(), nil
}

// VerifyFile gives the state of a property list, wherever it is.
func (l *Launchd) VerifyFile(path string) (Verdict, error) {
	f, err := read(path)
	if err != nil {
		return Verdict{}, err
	}
	if f == nil {
		return Verdict{}, fmt.Errorf("%s: %w", path, os.ErrNotExist)
	}
	return l.verdict(f), nil
}

func (l *Launchd) verdict(f *file) Verdict {
	h, ours := f.header()
	v := Verdict{Path: f.path, State: AsWritten, Version: h.Version}
	switch {
	case !ours:
		v.State = NotOurs
	case h.Edited:
		v.State = Edited
	default:
		if v.Why = l.outdated(f); v.Why != "" {
			v.State = Outdated
		}
	}
	return v
}

// outdated says why this rondo would not write f from what f records, or "".
func (l *Launchd) outdated(f *file) string {
	app, err := f.app(strings.TrimPrefix(strings.TrimSuffix(filepath.Base(f.path), ".plist"), label("")))
	if err != nil {
		return err.Error()
	}
	would, err := l.job(app)
	if err != nil {
		return err.Error()
	}
	if would.body() == f.body() {
		return ""
	}
	h, _ := f.header()
	return fmt.Sprintf("written by rondo %s, and %s would write it otherwise", h.Version, l.Version)
}
