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

var firstLine = regexp.MustCompile(`^# rondo ([!-~]+) sha256=([0-9a-f]{64})\n`)

// Header reads the first line of f; ours is false if rondo did not write it.
//
// A unit that was not edited and is not what Files gives now is outdated: rondo
// may write it anew. One that was edited is a person's.
func (f File) Header() (h Header, ours bool) {
	found := firstLine.FindStringSubmatch(f.Text)
	if found == nil {
		return Header{}, false
	}
	return Header{Version: found[1], Edited: found[2] != sum(f.Text[len(found[0]):])}, true
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
