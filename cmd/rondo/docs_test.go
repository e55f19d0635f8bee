package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rondokit/rondo/internal/settings"
)

// othersFlags are in the documents, and not rondo's.
var othersFlags = map[string]bool{"enable-source-maps": true, "inspect": true, "max-old-space-size": true}

func TestDocumentsNameFlagsThatThereAre(t *testing.T) {
	known := map[string]bool{}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	flag := regexp.MustCompile("[` ]--([a-z][a-z-]+)")
	found := 0
	for _, path := range append(files, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range flag.FindAllSubmatch(text, -1) {
			found++
			if name := string(m[1]); !known[name] && !othersFlags[name] {
				t.Errorf("%s: no command of rondo has --%s", filepath.Base(path), name)
			}
		}
	}
	if found < 50 {
		t.Errorf("%d flags were found, which are too few to be all", found)
	}
}

func TestExampleOfTheSettingsIsOne(t *testing.T) {
	text, err := os.ReadFile("../../docs/rondo.toml.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "# EXAMPLE\n")
	example, _, found := strings.Cut(rest, "# KEYS\n")
	if !found {
		t.Fatal("there is no example before the keys")
	}
	h := newHome(t)
	example = strings.NewReplacer("\n    ", "\n", "/srv/app", h.dir, "/usr/bin/node", "/bin/sh").Replace(example)
	r := h.rondo("run", "--check", "--config", h.file("app.toml", example, 0o644))
	if want := "app: ok: 2 x /bin/sh server.js on 80=3000\n"; r.code != 0 || r.stdout != want {
		t.Errorf("rondo run --check of the example = %d %q %q, want %q", r.code, r.stdout, r.stderr, want)
	}
}

// TestManualPagesTellAllThereIs builds them, and has man read them.
func TestManualPagesTellAllThereIs(t *testing.T) {
	out := t.TempDir()
	run := exec.Command("go", "run", "-tags", "docs", ".", "../../docs", out)
	if text, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	pages := 0
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		pages++
		words := []string{".SH NAME\n" + pageName(c) + " \\- "}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				words = append(words, "--"+f.Name)
			}
		})
		tells(t, filepath.Join(out, "man1", pageName(c)+".1"), words)
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				visit(sub)
			}
		}
	}
	visit(newRoot())
	var keys []string
	for _, k := range settings.Keys() {
		keys = append(keys, k.Name)
	}
	tells(t, filepath.Join(out, "man5/rondo.toml.5"), keys)
	tells(t, filepath.Join(out, "man7/rondo-protocol.7"), []string{"NODE_CHANNEL_FD", "queryServer", "NODE_HANDLE_ACK"})
	if found, _ := filepath.Glob(out + "/man*/*"); len(found) != pages+2 {
		t.Errorf("there are %d pages, want one for each of %d commands and two more", len(found), pages)
	}
	for _, shell := range []string{"bash/rondo", "zsh/_rondo", "fish/rondo.fish"} {
		tells(t, filepath.Join(out, shell), []string{"__complete"})
	}
}

// tells fails the test unless the file has all words and, of a manual page, man has
// nothing to say against it.
func tells(t *testing.T, path string, words []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	for _, word := range words {
		if !strings.Contains(string(text), word) {
			t.Errorf("%s does not tell %q", filepath.Base(path), word)
		}
	}
	if !strings.Contains(path, "/man") {
		return
	}
	man := exec.Command("man", "--warnings", "--local-file", path)
	man.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80")
	var said strings.Builder
	man.Stderr = &said
	if err := man.Run(); err != nil || said.Len() > 0 {
		t.Errorf("man of %s: %v: %s", filepath.Base(path), err, said.String())
	}
}
