package units

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// systemd reads values in three ways. All of them expand specifiers (%n), and
// none takes a control character from us.

// whole is value for a directive that takes the rest of its line as it is.
// systemd strips spaces there, and a backslash at the end takes the next line.
func whole(value string) string { return strings.ReplaceAll(value, "%", "%%") }

// word is value as one word of a directive that takes several.
func word(value string) string {
	value = strings.ReplaceAll(value, "%", "%%")
	if value != "" && strings.Trim(value, safe) == "" {
		return value
	}
	return `"` + quoted.Replace(value) + `"`
}

// argument is value as one argument of a command line, where $NAME is expanded.
func argument(value string) string { return word(strings.ReplaceAll(value, "$", "$$")) }

// safe needs no quotes anywhere in a unit: not ";", which ends a command alone,
// nor "#", though it starts a comment only at the start of a line.
const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:=@+,%$"

var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// checkText says what no value can hold.
func checkText(value string) error {
	if err := checkUTF8(value); err != nil {
		return err
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("%q has a control character", value)
	}
	return nil
}

// checkUTF8 says what no line can hold: systemd drops one whose UTF-8 it does not
// like.
func checkUTF8(value string) error {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, noncharacter) {
		return fmt.Errorf("%q is not UTF-8 text", value)
	}
	return nil
}

// noncharacter is what Unicode reserves, and systemd's unichar_is_valid refuses.
func noncharacter(r rune) bool { return r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE }

// checkWhole says what whole cannot write.
func checkWhole(value string) error {
	if err := checkText(value); err != nil {
		return err
	}
	switch {
	case value == "":
		return fmt.Errorf("it is empty")
	case strings.TrimSpace(value) != value:
		return fmt.Errorf("%q begins or ends with a space, which systemd strips", value)
	case strings.HasSuffix(value, `\`):
		return fmt.Errorf("%q ends with a backslash, which systemd reads as: the next line too", value)
	}
	return nil
}
