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

// A property list has the record in a comment.
const (
	recordBegins = "<!-- What this was rendered from, for a refresh by rondo install: "
	recordEnds   = " -->"
)

// App gives what f, the service or the property list, was rendered from. It is what
// rondo knew then: NAME.toml may say otherwise by now, and so may an edited unit.
func (f File) App() (App, error) {
	inside := false
	for line := range strings.Lines(f.Text) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, recordBegins); ok {
			return f.decode("its comment", strings.TrimSuffix(text, recordEnds))
		}
		if strings.HasPrefix(line, "[") {
			inside = line == "["+recordSection+"]"
		}
		if text, ok := strings.CutPrefix(line, recordKey+"="); inside && ok {
			return f.decode("["+recordSection+"] "+recordKey+"=", text)
		}
	}
	return App{}, fmt.Errorf("units: %s: no %s= in a section [%s]", f.Name, recordKey, recordSection)
}

// decode reads the record that stands in f at where.
func (f File) decode(where, text string) (a App, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields() // of a newer rondo: what this one would write lacks them
	if err := d.Decode(&a); err != nil {
		return App{}, fmt.Errorf("units: %s: %s: %w", f.Name, where, err)
	}
	return a, nil
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

// recordComment is the record of a for a property list. Between its ends a comment has no
// two hyphens in a row, which in JSON stand in strings alone.
func recordComment(a App) (string, error) {
	doc, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("record: %w", err)
	}
	return recordBegins + strings.ReplaceAll(string(doc), "--", `-\u002d`) + recordEnds + "\n", nil
}
