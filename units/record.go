package units

import (
	"encoding/json"
	"fmt"
	"strings"
)

// systemd passes over a section with "X-" before its name, and all in it.
const (
	recordSection = "X-Rondo"
	recordKey     = "App"
)

// App gives what f, the service, was rendered from. It is what rondo knew then:
// NAME.toml may say otherwise by now, and so may an edited unit.
func (f File) App() (App, error) {
	inside := false
	for line := range strings.Lines(f.Text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inside = line == "["+recordSection+"]"
		}
		text, ok := strings.CutPrefix(line, recordKey+"=")
		if !inside || !ok {
			continue
		}
		var a App
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields() // of a newer rondo: what this one would write lacks them
		if err := d.Decode(&a); err != nil {
			return App{}, fmt.Errorf("units: %s: [%s] %s=: %w", f.Name, recordSection, recordKey, err)
		}
		return a, nil
	}
	return App{}, fmt.Errorf("units: %s: no %s= in a section [%s]", f.Name, recordKey, recordSection)
}

// record writes a for File.App. Strings come out as they are, since check has
// refused what JSON could not keep.
func (t *text) record(a App) error {
	doc, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("[%s]: %w", recordSection, err)
	}
	t.section(recordSection)
	t.comment("What this was rendered from, for rondo install --refresh.")
	t.set(recordKey, string(doc))
	return nil
}
