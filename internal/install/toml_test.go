package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/settings"
)

// everyFlag is a value other than the default for each setting.
func everyFlag() map[string][]string {
	return map[string][]string{
		"name": {"web.1"}, "directory": {"/srv/ü \"x\" 'y'"}, "workers": {"3"}, "schedule": {"rr,http=none"}, "bind": {"true"}, "ready": {"first"}, "wait-ready": {"true"},
		"listen":        {"http@80=3000", "[::1]:81=127.0.0.1:4000", "unix:/run/x=/run/y", "unix:@abstract", "0.0.0.0:82=[::]:5000", "fd:http=6000"},
		"start-timeout": {"1m30s"}, "drain-timeout": {"500ms"}, "kill-timeout": {"7s"}, "shutdown-message": {"true"}, "ack-timeout": {"2s"}, "window": {"9"}, "surge": {"2"},
		"master-policy": {"inherit"}, "gomaxprocs": {"inherit"}, "max-draining": {"5"}, "backoff": {"1s..2s"}, "max-message": {"5000"},
	}
}

func TestSettingsComeBackFromTheirFile(t *testing.T) {
	all := everyFlag()
	for _, key := range settings.Keys() {
		if _, ok := all[key.Name]; !ok && key.Form != settings.Words {
			t.Errorf("everyFlag has no %s", key.Name)
		}
	}
	command := []string{"/usr/bin/node", "a b", `"quoted" \n`, "", "ü"}
	for _, flags := range []map[string][]string{all, {"name": {"app"}}, {"name": {"app"}, "workers": {"auto"}, "bind": {"false"}}} {
		want, err := settings.Sources{Flags: flags, Command: command}.Load()
		if err != nil {
			t.Fatal(err)
		}
		text, err := tomlText(want, flags, "systemctl restart x")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "x.toml")
		if err := os.WriteFile(path, []byte(sealed("1", text)), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := settings.Sources{File: path}.Load()
		if err != nil || flat(got) != flat(want) {
			t.Errorf("of %+v came back %+v, %v, from\n%s", want, got, err, text)
		}
	}
}

func TestDifferencesAreShort(t *testing.T) {
	for _, row := range [][3]string{
		{"", "a = 1\n", "+ a = 1"},
		{"a = 1\n", "", "- a = 1"},
		{"# x\na\nb\nc\nd\n", "a\n; y\n\nc\nx\nd\n", "- b|+ x"},
		{"a\nb\n", "b\na\n", "- a|+ a"},
		{"# old\na\n", "# new\na\n", "(comments only)"},
		{"a\n\n[X-Rondo]\n# x\nApp=1\n", "a\n\n[X-Rondo]\nApp=2\n", "(comments only)"},
	} {
		if got := strings.Join(Change{Old: row[0], New: row[1]}.Lines(), "|"); got != row[2] {
			t.Errorf("from %q to %q is %q, want %q", row[0], row[1], got, row[2])
		}
	}
}

func TestOnlyTheSocketSectionReopens(t *testing.T) {
	text := "[Unit]\nDescription=x\n\n[Socket]\n# c\nListenStream=80\nBacklog=1\n\n[Install]\nWantedBy=y\n"
	if got := socketSection(text); !slices.Equal(got, []string{"ListenStream=80", "Backlog=1"}) {
		t.Errorf("socketSection = %q", got)
	}
	if got := socketSection("[Unit]\n"); got != nil {
		t.Errorf("socketSection of none = %q", got)
	}
}

func TestAFileIsReplacedAtOnceOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.toml")
	for _, text := range []string{"one\n", "two\n"} {
		if err := (&file{path, text, 0o640}).write(); err != nil {
			t.Fatal(err)
		}
		got, err := read(path)
		if err != nil || got.text != text || got.mode != 0o640 {
			t.Errorf("read = %+v, %v, want %q", got, err, text)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "app.socket"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (&file{filepath.Join(dir, "app.socket"), "x", 0o644}).write(); err == nil {
		t.Error("a directory was replaced by a file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left are %v, %v, want the file and the directory", entries, err)
	}
	if err := remove(path); err != nil {
		t.Error(err)
	}
	if err := remove(path); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}
