package settings

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestResolveGivesEveryFieldItsDefault(t *testing.T) {
	got, err := Settings{Command: []string{"/usr/bin/node", "server.js"}, Workers: 3}.Resolve()
	want := Settings{
		Name: "node", Command: []string{"/usr/bin/node", "server.js"}, Workers: 3, Schedule: ScheduleRR, Ready: ReadyPredecessor,
		StartTimeout: 60 * time.Second, DrainTimeout: 30 * time.Second, KillTimeout: 5 * time.Second,
		AckTimeout: time.Second, Window: 16, MasterPolicy: PolicyBatch, GoMaxProcs: GoMaxProcsShare, Surge: 1, MaxDraining: 3,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second, MaxMessage: 1 << 20,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Resolve() = %+v, %v, want %+v", got, err, want)
	}
}

func TestResolveTakesWorkersFromTheMachine(t *testing.T) {
	got, err := Settings{Command: []string{"x"}}.Resolve()
	if err != nil || got.Workers < 1 || got.Workers > runtime.NumCPU() || got.MaxDraining != got.Workers {
		t.Errorf("Resolve() = %d workers, %d draining, %v, want from 1 to %d of both", got.Workers, got.MaxDraining, err, runtime.NumCPU())
	}
}

func TestResolveNamesTheWrongKey(t *testing.T) {
	for want, change := range map[string]func(*Settings){
		"no command: say what to run":                   func(s *Settings) { s.Command = nil },
		"no command":                                    func(s *Settings) { s.Command = []string{"", "x"} },
		`name: "a b" is not a name`:                     func(s *Settings) { s.Command = []string{"/x/a b"} },
		`name: "../x" is not a name`:                    func(s *Settings) { s.Name = "../x" },
		`name: ".." is not a name`:                      func(s *Settings) { s.Name = ".." },
		"is longer than 64 bytes":                       func(s *Settings) { s.Name = strings.Repeat("a", 65) },
		`command: "a\x00" has a zero byte`:              func(s *Settings) { s.Command = []string{"x", "a\x00"} },
		"workers: -1 is not from 1 to 1000":             func(s *Settings) { s.Workers = -1 },
		"window: 201 is not from 1 to 200":              func(s *Settings) { s.Window = 201 },
		"surge: -1 is not":                              func(s *Settings) { s.Surge = -1 },
		"max-draining: -1 is not":                       func(s *Settings) { s.MaxDraining = -1 },
		"max-message: 1 is not from 4096 to 1073741824": func(s *Settings) { s.MaxMessage = 1 },
		"start-timeout: -1s is not more than 0":         func(s *Settings) { s.StartTimeout = -time.Second },
		"drain-timeout: 8761h0m0s is longer than":       func(s *Settings) { s.DrainTimeout = 8761 * time.Hour },
		"the longest wait is shorter than the first":    func(s *Settings) { s.BackoffMin, s.BackoffMax = 2, 1 },
		`ready: "soon" is not "predecessor" or "first"`: func(s *Settings) { s.Ready = "soon" },
		`directory: "a\n" has a control character`:      func(s *Settings) { s.Directory = "a\n" },
		`listen: "a@80=1" and "80=2" are the same socket`: func(s *Settings) {
			s.Listen = []Listen{{Name: "a", Kind: KindTCP, Port: 80, Want: &Want{Port: 1}}, {Kind: KindTCP, Port: 80, Want: &Want{Port: 2}}}
		},
	} {
		s := Settings{Command: []string{"x"}}
		change(&s)
		if _, err := s.Resolve(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Resolve() = %v, want one line with %q", err, want)
		}
	}
}

func TestDiffNamesWhatAReloadCannotChange(t *testing.T) {
	old := Settings{Name: "a", Workers: 1, Listen: []Listen{{Kind: KindTCP, Port: 80}}}
	same := old
	same.Workers, same.Command, same.Listen = 4, []string{"x"}, []Listen{{Kind: KindTCP, Port: 80}}
	if got := Diff(old, same); got != nil {
		t.Errorf("Diff of what can change = %q, want none", got)
	}
	other := Settings{Name: "b", Bind: true, Listen: []Listen{{Kind: KindTCP, Port: 80, Want: &Want{Port: 3000}}}}
	if got, want := Diff(old, other), []string{"name", "listen", "bind"}; !slices.Equal(got, want) {
		t.Errorf("Diff = %q, want %q", got, want)
	}
}

func TestKeysCheckTheirValues(t *testing.T) {
	for _, row := range []struct{ key, text, want string }{
		{"name", "app", ""},
		{"name", "a/b", "not a name"},
		{"workers", "auto", ""},
		{"workers", "4", ""},
		{"workers", "0", `0 is not from 1 to 1000, nor "auto"`},
		{"workers", "four", `"four" is not a number, nor "auto"`},
		{"window", "auto", `"auto" is not a number`},
		{"window", "0", "0 is not from 1 to 200"},
		{"listen", "80=", "WANT at column 4 is empty"},
		{"bind", "true", ""},
		{"bind", "perhaps", `"perhaps" is not true or false`},
		{"ready", "first", ""},
		{"ready", "last", `"last" is not "predecessor" or "first"`},
		{"drain-timeout", "1m30s", ""},
		{"drain-timeout", "30", `"30" is not a time with a unit, like "30s"`},
		{"drain-timeout", "0s", "0s is not more than 0"},
		{"backoff", "1s..1m", ""},
		{"backoff", "1s", `"1s" is not FIRST..LONGEST, like "100ms..30s"`},
		{"backoff", "1s..x", `"x" is not a time`},
		{"backoff", "x..1s", `"x" is not a time`},
		{"backoff", "2s..1s", "2s..1s is not FIRST..LONGEST"},
	} {
		k, err := keyNamed(row.key)
		if err != nil {
			t.Fatal(err)
		}
		err = k.Check(row.text)
		if row.want == "" && err == nil || row.want != "" && err != nil && strings.Contains(err.Error(), row.want) {
			continue
		}
		t.Errorf("Key %s: Check(%q) = %v, want %q", row.key, row.text, err, row.want)
	}
}

func TestDefaultsShownAreTheDefaultsTaken(t *testing.T) {
	resolved, err := Settings{Command: []string{"x"}, Workers: 1}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		switch k.Name {
		case "name", "directory", "workers", "max-draining":
			continue // their defaults are words for people
		}
		var s Settings
		f := k.field(&s)
		if k.Default == "" {
			continue
		}
		if err := f.add(k.Default); err != nil || f.String() != k.field(&resolved).String() {
			t.Errorf("%s: shown as %s (%v), taken as %s", k.Name, f, err, k.field(&resolved))
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"workers", "window", "listen", "drain-timeout", "bind"}
	for word, want := range map[string]string{
		"worker": "workers", "wrokers": "workers", "drain_timeout": "drain-timeout", "drian-timeuot": "drain-timeout",
		"Listen": "listen", "bnid": "bind", "shell": "", "": "", "maximum-of-everything": "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
