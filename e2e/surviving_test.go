package e2e

import (
	"os"
	"strings"
	"testing"
)

// ledgerServer is the server of testdata that the ledger talks to, listening on port.
func ledgerServer(t *testing.T, port string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/ledger.js")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(b), "JSON.parse(process.env.TEST_LISTEN || '3000')", port, 1)
}

// surviving is the program of these tests, listening on port.
func surviving(t *testing.T, port string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/survive.js")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + ledgerServer(t, port)
}
