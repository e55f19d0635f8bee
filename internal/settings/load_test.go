package settings

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const everyKey = `
name = "shop"
command = ["node", "server.js"] # and why
directory = "/srv/shop"
workers = 4
schedule = "rr,admin=none"
bind = true
ready = "first"
wait-ready = true
start-timeout = "10s"
drain-timeout = "20s"
kill-timeout = "3s"
shutdown-message = true
ack-timeout = "2s"
window = 8
master-policy = "inherit"
gomaxprocs = "inherit"
surge = 2
max-draining = 3
backoff = "1s..2s"
max-message = 65536

[[listen]]
name = "http"
address = "127.0.0.1:80"
worker = 3000

[[listen]]
address = 81
`

func TestLoadReadsEveryKeyOfAFile(t *testing.T) {
	got, err := Sources{File: writeFile(t, "shop.toml", everyKey)}.Load()
	http, _ := ParseListen("http@127.0.0.1:80=3000")
	want := Settings{
		Name: "shop", Command: []string{"node", "server.js"}, Directory: "/srv/shop", Workers: 4, Schedule: "rr,admin=none", Bind: true,
		Ready: ReadyFirst, WaitReady: true, StartTimeout: 10 * time.Second, DrainTimeout: 20 * time.Second,
		KillTimeout: 3 * time.Second, ShutdownMsg: true, AckTimeout: 2 * time.Second, Window: 8, MasterPolicy: PolicyInherit, GoMaxProcs: GoMaxProcsInherit, Surge: 2, MaxDraining: 3,
		BackoffMin: time.Second, BackoffMax: 2 * time.Second, MaxMessage: 65536,
		Listen: []Listen{http, {Kind: KindTCP, Port: 81}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Load() = %+v, %v, want %+v", got, err, want)
	}
	for _, k := range keys {
		if !strings.Contains(everyKey, k.Name+" = ") && !strings.Contains(everyKey, "[["+k.Name+"]]") {
			t.Errorf("the file of this test does not have the key %s", k.Name)
		}
	}
}

func TestFlagsWinOverTheEnvironmentOverTheFile(t *testing.T) {
	src := Sources{
		File: writeFile(t, "a.toml", "workers = 1\nwindow = 1\nsurge = 1\nbind = true\nlisten = [\"1\", \"2\"]\ncommand = [\"file\"]\n"),
		Env: []string{"RONDO_WINDOW=2", "RONDO_SURGE=2", "RONDO_LISTEN=3 a@4=5", "RONDO_WAIT_READY=true",
			"RONDO_SLOT=x", "RONDO_WORKER_ID=x", "RONDO_GENERATION=x", "RONDO_COMMAND=x", "RONDO_NEXT_YEAR=x", "RONDO_NAME="},
		Flags: map[string][]string{"surge": {"7", "3"}, "bind": {"false"}},
	}
	s, err := src.Load()
	if err != nil {
		t.Fatal(err)
	}
	if s.Workers != 1 || s.Window != 2 || s.Surge != 3 || s.Bind || !s.WaitReady || s.Name != "file" {
		t.Errorf("Load() = %+v, want workers 1 of the file, window 2 of the environment, surge 3 of the flags", s)
	}
	if got := (*listenField)(&s.Listen).String(); got != "[3 a@4=5]" {
		t.Errorf("Listen = %s, want the environment's alone", got)
	}
	src.Command = []string{"flag", "-x"}
	if s, err = src.Load(); err != nil || !slices.Equal(s.Command, src.Command) || s.Name != "flag" {
		t.Errorf("Load() with a COMMAND = %q, name %q, %v", s.Command, s.Name, err)
	}
}

func TestAServiceKeepsItsNameWhenItsCommandChanges(t *testing.T) {
	src := Sources{Command: []string{"server-1"}}
	old, err := src.Load()
	if err != nil {
		t.Fatal(err)
	}
	src.Command, src.DefaultName = []string{"server-2"}, old.Name
	s, err := src.Load()
	if err != nil || s.Name != "server-1" || Diff(old, s) != nil {
		t.Errorf("Load() with another COMMAND = name %q, %v, Diff %q, want server-1 and none", s.Name, err, Diff(old, s))
	}
}

func TestLoadReadsTheFileAnewEachTime(t *testing.T) {
	src := Sources{File: writeFile(t, "a.toml", "command = [\"x\"]\nworkers = 1\n")}
	for want := 1; want <= 3; want++ {
		s, err := src.Load()
		if err != nil || s.Workers != want {
			t.Fatalf("Load() = %d workers, %v, want %d", s.Workers, err, want)
		}
		text := strings.ReplaceAll("command = [\"x\"]\nworkers = N\n", "N", string(rune('1'+want)))
		if err := os.WriteFile(src.File, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoadNamesTheSourceOfAWrongValue(t *testing.T) {
	file := writeFile(t, "app.toml", "workers = 2\n")
	large := filepath.Join(t.TempDir(), "large.toml")
	if err := os.WriteFile(large, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, src := range map[string]Sources{
		"RONDO_DRAIN_TIMEOUT: \"30\" is not a time": {Env: []string{"RONDO_DRAIN_TIMEOUT=30"}},
		"RONDO_LISTEN: LISTEN \"80=\": WANT":        {Env: []string{"RONDO_LISTEN=81 80="}},
		"--window: \"x\" is not a number":           {Flags: map[string][]string{"window": {"x"}}},
		"no such file or directory":                 {File: file + ".not"},
		"is not a regular file":                     {File: filepath.Dir(file)},
		"is larger than 1048576 bytes":              {File: large},
		"app.toml: no command: add one":             {File: file},
		"no command: say what to run":               {},
	} {
		if _, err := src.Load(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Load() = %v, want one line with %q", err, want)
		}
	}
}
