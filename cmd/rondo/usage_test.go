package main

import (
	"strings"
	"testing"
)

func TestBadInputIsOneLineAndTheDocumentedCode(t *testing.T) {
	h := newHome(t)
	h.file("plain", "x", 0o644)
	h.file("package.json", `{"scripts": {"start": "node app.js"}}`, 0o644)
	h.file("key.toml", "\nworker = 4\n", 0o644)
	h.file("type.toml", "window = \"8\"\n", 0o644)
	h.file("syntax.toml", "window = \n", 0o644)
	h.file("empty.toml", "", 0o644)
	h.file("table.toml", "command = [\"x\"]\n[[listen]]\naddress = \"80x\"\n", 0o644)
	long := "unix:/" + strings.Repeat("a", 107)
	for _, row := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "no command, like: rondo run -- node server.js"},
		{"relaod", 2, `unknown command "relaod": did you mean "reload"?`},
		{"dance", 2, `unknown command "dance": rondo help lists them`},
		{"help dance", 2, `unknown command "dance"`},
		{"completion", 2, "say for which shell"},
		{"--dance", 2, `unknown flag "--dance": rondo --help lists them`},

		{"run", 2, "no command: say what to run, as in: rondo run -- node server.js"},
		{"run --", 2, "no command"},
		{"run --wokers 2 -- x", 2, `unknown flag "--wokers": did you mean "--workers"?`},
		{"run -z -- x", 2, `unknown flag "-z"`},
		{"run --workers", 2, "--workers needs a value"},
		{"run --workers none -- x", 2, `--workers: "none" is not a number, nor "auto"`},
		{"run --window 0 -- x", 2, "--window: 0 is not from 1 to 200"},
		{"run --drain-timeout 30 -- x", 2, `--drain-timeout: "30" is not a time with a unit, like "30s"`},
		{"run --ready soon -- x", 2, `--ready: "soon" is not "predecessor" or "first"`},
		{"run --bind=maybe -- x", 2, `--bind: "maybe" is not true or false`},
		{"run --listen 80x -- x", 2, `--listen: LISTEN "80x": PORT at column 1 "80x" is not a number`},
		{"run --listen " + long + " -- x", 2, "is 108 bytes long, and a socket's path has 107 at most"},
		{"run --name a/b -- x", 2, `--name: "a/b" is not a name`},

		{"run -- nowhere-to-be-found", 1, `command: "nowhere-to-be-found" was not found in PATH`},
		{"run -- ./nowhere", 1, "/nowhere: file does not exist"},
		{"run -- ./plain", 1, "/plain is not executable: chmod +x it"},
		{"run -- /", 1, "name: "},
		{"run --name app -- /", 1, "/ is a directory, not a program"},
		{"run -- npm start", 1, `"npm start" keeps the worker's channel to itself: run "node app.js" instead`},
		{"run --directory none -- sh", 1, "directory: stat "},
		{"run --listen fd:http -- sh", 1, "--listen fd:http: the init system passed no sockets"},
		{"run --config none.toml", 1, "config: open none.toml: no such file or directory"},
		{"run --config key.toml", 1, `key.toml:2: unknown key "worker": did you mean "workers"?`},
		{"run --config type.toml", 1, `type.toml:1: window: "8" is not a number, like 16`},
		{"run --config syntax.toml", 1, "syntax.toml:1: "},
		{"run --config empty.toml", 1, "empty.toml: no command: add one"},
		{"run --config table.toml", 1, `table.toml:3: address "80x": PORT`},
		{"run --check --config key.toml", 1, `key.toml:2: unknown key "worker"`},
		{"run --check -- nowhere-to-be-found", 1, "was not found in PATH"},

		{"run --check --listen 80=3000 --listen unix:/run/x=3000 -- sh", 1, `--listen: "80=3000" and "unix:/run/x=3000" are sockets of two kinds`},
		{"run --listen 80=3000 --listen unix:/run/x=3000 -- sh", 1, `--listen: "80=3000" and "unix:/run/x=3000" are sockets of two kinds`},
		{"reload", 1, "no rondo is running: looked at "},
		{"reload app", 1, `no rondo "app" is running: looked at `},
		{"reload a b", 2, "rondo reload takes one NAME, not 2 arguments, like: rondo reload app"},
		{"reload a:b", 1, `"a:b" is not a name`},
		{"reload /none/control.sock", 1, "reload: nobody answers on /none/control.sock: connect: no such file or directory"},
		{"status app", 1, `no rondo "app" is running`},
		{"status --jsno", 2, `unknown flag "--jsno": did you mean "--json"?`},
		{"scale", 2, "rondo scale takes a NAME and a number of workers, not 0 arguments"},
		{"scale app", 2, `"app" is not a number of workers from 1 to 1000`},
		{"scale app 0", 2, `"0" is not a number of workers`},
		{"scale app 4", 1, `no rondo "app" is running`},
		{"send", 2, "rondo send takes a NAME, a slot and a message in JSON, not 0 arguments"},
		{"send app x 1", 2, `send: "x" is not a slot`},
		{"send app 0 hello", 2, `send: the message is not JSON: invalid character 'h' looking for beginning of value; a text stands in quotes, as in: rondo send app 0 '"hello"'`},
		{`send app 0 {"cmd":"NODE_HANDLE"}`, 2, `send: the message has a "cmd" that begins with NODE_`},
		{"send app 0 1", 1, `no rondo "app" is running`},
		{"stop app", 1, `no rondo "app" is running`},
		{"logs", 2, "rondo logs takes a NAME, not 0 arguments"},
		{"logs ../x", 2, `"../x" is not a name`},
		{"version 1", 2, "rondo version takes nothing"},
		{"demo x", 2, "rondo demo takes nothing"},
		{"demo --listen x", 2, `--listen: LISTEN "x"`},
		{"demo-worker", 2, "demo-worker is started by: rondo demo"},
	} {
		h.fails(row.code, row.want, strings.Fields(row.args)...)
	}
}

func TestHelpAndVersionAreDone(t *testing.T) {
	h := newHome(t)
	for args, want := range map[string]string{
		"--help":            "Run a server as several workers",
		"help run":          "--drain-timeout TIME",
		"run --help":        "[RONDO_DRAIN_TIMEOUT] (default 30s)",
		"version":           "rondo ",
		"completion bash":   "bash completion",
		"completion zsh":    "compdef",
		"help completion":   "bash",
		"logs --help":       "--user           of this user's manager",
		"run --check -- sh": "sh: ok: ",
		"run --check --workers 3 --listen 80=3000 -- sh x": "sh: ok: 3 x sh x on 80=3000",
	} {
		r := h.rondo(strings.Fields(args)...)
		if r.code != 0 || !strings.Contains(r.stdout, want) || r.stderr != "" {
			t.Errorf("rondo %s = %d, stdout %.80q, stderr %q, want 0 and %q", args, r.code, r.stdout, r.stderr, want)
		}
	}
}

func TestOnlyWhoReadsTheEnvironmentNamesVariables(t *testing.T) {
	h := newHome(t)
	for args, want := range map[string]bool{"run --help": true, "install --help": false, "units generate --help": false} {
		r := h.rondo(strings.Fields(args)...)
		if got := strings.Contains(r.stdout, "[RONDO_"); got != want || !strings.Contains(r.stdout, "--drain-timeout TIME") {
			t.Errorf("rondo %s names variables: %v, want %v\n%s", args, got, want, r.stdout)
		}
	}
}

func TestSettingsComeFromFlagsThenEnvironmentThenFile(t *testing.T) {
	h := newHome(t, "RONDO_WORKERS=3", "RONDO_NAME=env")
	h.file("app.toml", "name = \"file\"\nworkers = 2\nlisten = [\"81\"]\ncommand = [\"sh\", \"file\"]\n", 0o644)
	for args, want := range map[string]string{
		"run --check --config app.toml":                         "env: ok: 3 x sh file on 81\n",
		"run --check --config app.toml --workers 4 --name flag": "flag: ok: 4 x sh file on 81\n",
		"run --check --config app.toml --listen 82 -- sh flag":  "env: ok: 3 x sh flag on 82\n",
		"run --check sh --workers 9":                            "env: ok: 3 x sh --workers 9\n",
	} {
		if r := h.rondo(strings.Fields(args)...); r.stdout != want || r.code != 0 {
			t.Errorf("rondo %s = %d %q %q, want %q", args, r.code, r.stdout, r.stderr, want)
		}
	}
}
