package install

import (
	"fmt"
	"path/filepath"

	"github.com/rondokit/rondo/internal/settings"
)

// A comparison finds what must change for files to be as wanted.
type comparison struct {
	settings  settings.Settings // that are wanted
	overwrite bool              // what a person edited

	changes []Change
	edited  []Change // that stay so: from what rondo would write to what is there
	files   []*file  // to write
	lost    []*file  // that a person edited, and that would have to be overwritten
}

// add compares f with old, which is in its place, or nil.
func (c *comparison) add(old, f *file) error {
	switch {
	case old == nil:
		c.changes = append(c.changes, Change{Path: f.path, New: f.text})
	case old.body() == f.body():
		return nil
	case !old.edited() || c.overwrite:
		c.changes = append(c.changes, Change{f.path, old.text, f.text})
	case old.wrote(f):
		if err := loads(old); err != nil {
			return err
		}
		c.edited = append(c.edited, Change{old.path, f.text, old.text})
		return nil
	case c.same(old):
		c.edited = append(c.edited, Change{old.path, old.text, old.text})
		return nil
	default:
		c.lost = append(c.lost, old)
		return nil
	}
	c.files = append(c.files, f)
	return nil
}

// loads says what keeps a NAME.toml from being read.
func loads(f *file) error {
	if filepath.Ext(f.path) != ".toml" {
		return nil
	}
	if _, err := (settings.Sources{File: f.path}).Load(); err != nil {
		return fmt.Errorf("%w: it was edited: mend it, or give the edit up with --overwrite", err)
	}
	return nil
}

// same says whether an edited NAME.toml has the wanted settings all the same.
func (c *comparison) same(f *file) bool {
	if filepath.Ext(f.path) != ".toml" {
		return false
	}
	s, err := settings.Sources{File: f.path}.Load()
	return err == nil && flat(s) == flat(c.settings)
}

// flat is s as text, with what its pointers point to.
func flat(s settings.Settings) string {
	listen := fmt.Sprint(s.Listen)
	s.Listen = nil
	return fmt.Sprintf("%+v %s", s, listen)
}
