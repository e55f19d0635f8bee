package units

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

// expand reads specifiers as systemd does: all but %% would stand for something.
func expand(s string) (string, error) {
	rest, ok := strings.CutSuffix(strings.ReplaceAll(s, "%%", "\x00"), "%")
	if ok || strings.Contains(rest, "%") {
		return "", fmt.Errorf("%q has a specifier", s)
	}
	return strings.ReplaceAll(rest, "\x00", "%"), nil
}

// split reads words as systemd's extract_first_word does, with EXTRACT_UNQUOTE
// and EXTRACT_CUNESCAPE, and expands them.
func split(s string) ([]string, error) {
	var words []string
	var b strings.Builder
	quote, inWord := byte(0), false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i++; i == len(s) || s[i] != '\\' && s[i] != '"' {
				return nil, fmt.Errorf("%q: an escape that is none of ours", s)
			}
			b.WriteByte(s[i])
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && c == ' ':
			if inWord {
				words = append(words, b.String())
			}
			b.Reset()
			inWord = false
		default:
			b.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, b.String())
	}
	if quote != 0 {
		return nil, fmt.Errorf("%q: a quote is open", s)
	}
	for i := range words {
		var err error
		if words[i], err = expand(words[i]); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// nasty are values that a careless writer of units breaks.
var nasty = []string{
	"plain", "50%", "%n", "%%", "a b", " a", "a ", `a\`, `\`, `\\`, `a\nb`, `"`, `'`, `it's`, `say "hi"`, `$HOME`, `${HOME}`, `$$`,
	";", "; ls", "#", "# no", "a;b", "|", "-", "-a", "@a", "+a", "!a", ":a", "~", "~a", "=", "a=b", "[Service]", "é€😀", "\u00a0a", "a\u00a0",
	"\u2028", "\ufeff", "{}", "*?[", "\x7f", "a\tb", "a\nb", "a\rb", "\x00", "\xff", "\ufdd0", "\uffff", "\u0085", "",
}

func FuzzQuotingIsUndone(f *testing.F) {
	for _, value := range nasty {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var written text
		written.section("Service")
		asWhole, asText := checkWhole(value) == nil, checkText(value) == nil
		if asWhole && !asText {
			t.Fatalf("checkWhole(%q) = nil, but checkText does not", value)
		}
		if !asText || len(value) > 400 { // go-systemd reads lines of 2048 bytes
			return
		}
		if asWhole {
			written.set("Whole", whole(value))
		}
		written.set("Word", word(value)+" "+word("next"))
		written.set("Argument", argument(value)+" "+argument("next"))
		written.set("End", "yes")
		for key, line := range parse(t, written.b.String()) {
			var got []string
			var err error
			switch key {
			case "Service.Whole":
				got = []string{"", "next"}
				got[0], err = expand(line)
			case "Service.Word":
				got, err = split(line)
			case "Service.Argument":
				got, err = split(line)
				for i := range got {
					got[i] = strings.ReplaceAll(got[i], "$$", "$")
				}
			case "Service.End":
				got = []string{value, "next"}
			}
			if err != nil || len(got) != 2 || got[0] != value || got[1] != "next" {
				t.Errorf("%s=%s reads %q, %v; want %q and %q", key, line, got, err, value, "next")
			}
		}
	})
}

// parse reads text by go-systemd: "Section.Key" -> value, several joined by "\n".
func parse(t *testing.T, text string) map[string]string {
	t.Helper()
	options, err := unit.DeserializeOptions(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	values := make(map[string]string)
	for _, o := range options {
		key := o.Section + "." + o.Name
		if have, ok := values[key]; ok {
			o.Value = have + "\n" + o.Value
		}
		values[key] = o.Value
	}
	return values
}
