package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bunPage is docs/bun.md up to its table.
const bunPage = `# Bun

Bun %s is no worker of rondo. Its node:cluster has a channel of its own making: each internal message begins with a byte 2, which no Node
writes, and the descriptor of a connection is acknowledged and then dropped ("failed to parse handle"). Its HTTP servers do not even ask the
primary, and bind their port themselves. So no connection can be given to it, and rondo says so at the start instead of waiting for it.
This page is written by the test that ran it: ` + "`go test ./e2e -run TestBunIsRefusedAtOnce`" + `.

| program | ` + "`rondo run -- bun program.js`" + ` ends with |
|---|---|
`

// TestBunIsRefusedAtOnce is of what speaks a dialect of the protocol that rondo does not.
func TestBunIsRefusedAtOnce(t *testing.T) {
	bun := filepath.Join(npm(t), "@oven/bun-linux-x64/bin/bun")
	release, err := exec.Command(bun, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	page := fmt.Sprintf(bunPage, strings.TrimSpace(string(release)))
	for _, row := range []struct{ name, text, want string }{
		{"`http.createServer().listen(0)`", `require('http').createServer((q, r) => r.end()).listen(0)`, "takes no connections from another process"},
		{"`net.createServer().listen(0)`", `require('net').createServer((c) => c.end()).listen(0)`, "takes no connections from another process"},
		{"`Bun.serve({ port: 0 })`, which says nothing on the channel", `Bun.serve({ port: 0, fetch: () => new Response() })`, "it does not listen on anything"},
	} {
		script := filepath.Join(t.TempDir(), "program.js")
		if err := os.WriteFile(script, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(rondo(t), "run", "--name", "bun", "--workers", "1", "--start-timeout", "2s", "--", bun, script)
		cmd.Env = append(os.Environ(), "RONDO_BACKOFF_MIN=5ms", "RUNTIME_DIRECTORY="+t.TempDir())
		out, err := cmd.CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		last := lines[len(lines)-1]
		if err == nil || !strings.Contains(last, row.want) {
			t.Errorf("%s: %v, its last line is %q, want one that says %q", row.name, err, last, row.want)
		}
		page += fmt.Sprintf("| %s | %s |\n", row.name, cell(strings.TrimSuffix(last, "; its last output: ")))
	}
	if !t.Failed() {
		document(t, "bun.md", page)
	}
}
