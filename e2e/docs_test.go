package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docsVar has tests write the documents that tell what they saw.
const docsVar = "RONDO_DOCS"

// document holds docs/NAME to text, which a test has made of what it saw, or with
// RONDO_DOCS=1 writes it.
func document(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("../docs", name)
	if os.Getenv(docsVar) == "1" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old, err := os.ReadFile(path); err != nil || string(old) != text {
		t.Errorf("docs/%s does not say what was seen (%v): %s=1 go test ./e2e -run '^%s$' writes it anew; it would be\n%s", name, err, docsVar, t.Name(), text)
	}
}

// documented holds docs/NAME to lines of which a test has seen a part.
func documented(t *testing.T, name string, lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs", name))
	if err != nil {
		t.Error(err)
	}
	for _, line := range lines {
		if !strings.Contains(string(text), line) {
			t.Errorf("docs/%s does not say what was seen: %s", name, line)
		}
	}
}
