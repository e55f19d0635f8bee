package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// A part is a module that is linked in, or Go's standard library.
type part struct {
	name, version string
	url           string
	license       string // SPDX's name
	text          string // of the licence
	notice        string // that the Apache License has to be passed on with it (section 4d)
	holders       []string
}

// partsOf gives what is linked into a program, by name.
func partsOf(info *debug.BuildInfo, module string) ([]part, error) {
	dirs, err := directories(info.Deps, module)
	if err != nil {
		return nil, err
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	std := part{name: "std", version: strings.TrimPrefix(info.GoVersion, "go"), url: "https://go.dev"}
	if err := std.read(strings.TrimSpace(string(goroot))); err != nil {
		return nil, err
	}
	parts := []part{std}
	for _, m := range info.Deps {
		p := part{name: m.Path, version: m.Version, url: "https://pkg.go.dev/" + m.Path + "@" + m.Version}
		if err := p.read(dirs[m.Path]); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.name, b.name) })
	return parts, nil
}

// directories tells where the sources of modules are.
func directories(modules []*debug.Module, module string) (map[string]string, error) {
	args := []string{"list", "-m", "-json"}
	for _, m := range modules {
		args = append(args, m.Path)
	}
	list := exec.Command("go", args...)
	list.Dir, list.Stderr = module, os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	dirs := map[string]string{}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct{ Path, Dir string }
		switch err := in.Decode(&m); err {
		case nil:
			dirs[m.Path] = m.Dir
		case io.EOF:
			return dirs, nil
		default:
			return nil, fmt.Errorf("go list: %w", err)
		}
	}
}

var licenses = []struct{ name, says string }{
	{"Apache-2.0", "Apache License"},
	{"MIT", "Permission is hereby granted, free of charge"},
	{"BSD-3-Clause", "Neither the name of"},
	{"BSD-2-Clause", "Redistributions in binary form must reproduce"},
}

var holder = regexp.MustCompile(`(?m)^\s*(Copyright (?:\(c\)|\(C\)|©|\d).*\S)\s*$`)

// read takes the licence of the sources in dir.
func (p *part) read(dir string) error {
	if dir == "" {
		return fmt.Errorf("%s: its sources are not here", p.name)
	}
	found, err := filepath.Glob(filepath.Join(dir, "LICEN[SC]E*"))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("%s: %s has no licence", p.name, dir)
	}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p.text += string(text)
	}
	notices, err := filepath.Glob(filepath.Join(dir, "NOTICE*"))
	if err != nil {
		return err
	}
	for _, path := range notices {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p.notice += string(text)
	}
	for _, l := range licenses {
		if strings.Contains(p.text, l.says) {
			p.license = l.name
			break
		}
	}
	if p.license == "" {
		return errors.New(p.name + ": its licence is not known to this program")
	}
	for _, m := range holder.FindAllStringSubmatch(p.text, -1) {
		p.holders = append(p.holders, m[1])
	}
	if len(p.holders) == 0 {
		p.holders = []string{"the authors of " + p.name}
	}
	return nil
}
