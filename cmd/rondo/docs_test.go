package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
