package units

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// Header is what the first line of a unit tells of it.
type Header struct {
	Version string // of the rondo that wrote it
	Edited  bool   // the rest is not what rondo wrote
}

// The first line of a unit, and the comment that a property list has before all but what
// makes it one.
var (
	firstLine    = regexp.MustCompile(`^# rondo ([!-~]+) sha256=([0-9a-f]{64})\n`)
	firstComment = regexp.MustCompile(`^<\?xml [^\n]*\n<!DOCTYPE [^\n]*\n<!-- rondo ([!-~]+) sha256=([0-9a-f]{64}) -->\n`)
)

// header gives the first line of f, and the version and the sum in it, or nothing.
func (f File) header() []string {
	if found := firstLine.FindStringSubmatch(f.Text); found != nil {
		return found
	}
	return firstComment.FindStringSubmatch(f.Text)
}

// Header reads the first line of f; ours is false if rondo did not write it.
//
// A unit that was not edited and is not what Files or Plist gives now is outdated:
// rondo may write it anew. One that was edited is a person's.
func (f File) Header() (h Header, ours bool) {
	found := f.header()
	if found == nil {
		return Header{}, false
	}
	return Header{Version: found[1], Edited: found[2] != sum(f.Body())}, true
}

// Body is the text of f after what Header reads: all of it, if rondo did not write it.
func (f File) Body() string {
	if found := f.header(); found != nil {
		return f.Text[len(found[0]):]
	}
	return f.Text
}

// sealed puts the first line before text.
func sealed(version, text string) string {
	return fmt.Sprintf("# rondo %s sha256=%s\n%s", version, sum(text), text)
}

func sum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// checkVersion keeps the first line in its form.
func checkVersion(version string) error {
	if version == "" || strings.ContainsFunc(version, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("version: %q is not one word", version)
	}
	return nil
}
