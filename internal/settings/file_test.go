package settings

import (
	"strings"
	"testing"
)

func TestAWrongFileIsToldByLineAndKey(t *testing.T) {
	for doc, want := range map[string]string{
		"\nworker = 4\n":                 `a.toml:2: unknown key "worker": did you mean "workers"?`,
		"Workers = 4":                    `a.toml:1: unknown key "Workers": did you mean "workers"?`,
		"\n\n[service]\nx = 1":           `a.toml:3: unknown key "service": the keys are name, command,`,
		"colour = \"rr\"":                `a.toml:1: unknown key "colour": the keys are`,
		"workers = 0":                    `a.toml:1: workers: 0 is not from 1 to 1000, nor "auto"`,
		"\nworkers = 1.5":                `a.toml:2: workers: 1.5 is not a number or "auto"`,
		"workers = \"many\"":             `a.toml:1: workers: "many" is not a number, nor "auto"`,
		"workers.min = 1":                `a.toml:1: workers: a table is not a number or "auto"`,
		"\n[workers]\nmin = 1":           `a.toml:2: workers: a table is not a number or "auto"`,
		"window = \"8\"":                 `a.toml:1: window: "8" is not a number, like 16`,
		"bind = \"true\"":                `a.toml:1: bind: "true" is not true or false`,
		"bind = 1":                       `a.toml:1: bind: 1 is not true or false`,
		"name = 1":                       `a.toml:1: name: 1 is not a string in quotes`,
		"name = 2026-11-22":              `a.toml:1: name: a date or time is not a string in quotes`,
		"name = \"a b\"":                 `a.toml:1: name: "a b" is not a name of letters`,
		"drain-timeout = 30":             `a.toml:1: drain-timeout: 30 is not a string in quotes`,
		"drain-timeout = \"30\"":         `a.toml:1: drain-timeout: "30" is not a time with a unit, like "30s"`,
		"command = \"node x\"":           `a.toml:1: command: "node x" is not an array of strings, like ["node", "server.js"]`,
		"command = [\"node\", 3000]":     `a.toml:1: command: 3000 in it is not a string, like "3000"`,
		"command = []":                   `a.toml:1: command: no command`,
		"workers = 1\nworkers = 2":       `a.toml:2: key workers is already defined, at column 1`,
		"workers =\n":                    `a.toml:1: unexpected character U+000A at start of value, at column 10`,
		"a\xffb = 1":                     `a.toml:1: `,
		"listen = 80":                    `a.toml:1: listen: 80 is not an array of strings or [[listen]] tables`,
		"\n[listen]\naddress = \"80\"":   `a.toml:2: listen: a table is not an array of strings or [[listen]] tables`,
		"\nlisten = [\"80x\"]":           `a.toml:2: LISTEN "80x": PORT at column 1`,
		"listen = [80]":                  `a.toml:1: listen: 80 is not a string or a table`,
		"listen = [\"80\", \"80=3000\"]": `a.toml:1: listen: "80" and "80=3000" are the same socket`,
		"\n[[listen]]\naddress = 80\nworker = 1\n[[listen]]\naddress = \"unix:/x\"\nworker = 1": `a.toml:2: listen: "80=1" and "unix:/x=1" are sockets of two kinds`,
		"[[listen]]\naddress = \"80\"\n[[listen]]\n\nadress = \"81\"":                           `a.toml:5: unknown key "adress": did you mean "address"?`,
		"[[listen]]\n\n[[listen]]\naddress = \"80\"":                                            `a.toml:1: listen: a table without address`,
		"[[listen]]\naddress = \"80x\"":                                                         `a.toml:2: address "80x": PORT at column 1 "80x" is not a number`,
		"[[listen]]\naddress = \"80\"\nworker = \"a\"":                                          `a.toml:3: worker "a": WANT at column 1 "a" is not a number`,
		"[[listen]]\naddress = \"80\"\nname = \"1\"":                                            `a.toml:3: name "1": NAME at column 1 is all digits`,
		"[[listen]]\naddress = true":                                                            `a.toml:2: address: true is not a string`,
		"listen = [{address = \"80x\"}]":                                                        `a.toml:1: address "80x": PORT`,
	} {
		var s Settings
		err := parseFile(&s, "a.toml", []byte(doc))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("parseFile(%q) = %v, want %s", doc, err, want)
		}
	}
}

func TestAPathWithAnEqualsSignNeedsATable(t *testing.T) {
	var s Settings
	if err := parseFile(&s, "a.toml", []byte("[[listen]]\naddress = \"unix:/run/a=b\"\nworker = \"/x=y\"\n")); err != nil {
		t.Fatal(err)
	}
	if l := s.Listen[0]; l.Path != "/run/a=b" || l.Want.Path != "/x=y" {
		t.Errorf("listen = %+v, %+v, want the paths /run/a=b and /x=y", l, *l.Want)
	}
}

func FuzzParseFile(f *testing.F) {
	for _, s := range []string{everyKey, "listen = [\"80\", {address = 81}]", "a.b = 1\n[a.c]\n[[listen.x]]\n", "\"\" = 1", "workers = inf"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		var s Settings
		if err := parseFile(&s, "a.toml", []byte(doc)); err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || !strings.HasPrefix(err.Error(), "a.toml:") {
				t.Fatalf("parseFile(%q): not one line that starts with the file: %q", doc, err)
			}
			return
		}
		if s.Command == nil {
			s.Command = []string{"x"}
		}
		if s.Workers == 0 {
			s.Workers = 1
		}
		if _, err := s.Resolve(); err != nil {
			t.Fatalf("parseFile(%q) was content, and Resolve is not: %v", doc, err)
		}
	})
}
