package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program writes files named in the map, with their modes, into a directory.
func commandDir(t *testing.T, files map[string]os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range files {
		path := filepath.Join(dir, name)
		if mode.IsDir() {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheckCommandFindsTheProgram(t *testing.T) {
	dir := commandDir(t, map[string]os.FileMode{"run": 0o755})
	t.Setenv("PATH", "relative:/not/there:"+dir)
	for _, s := range []Settings{
		{Command: []string{"run", "-x"}},
		{Command: []string{"./run"}, Directory: dir},
		{Command: []string{filepath.Join(dir, "run")}},
	} {
		if got, err := CheckCommand(s); err != nil || got != filepath.Join(dir, "run") {
			t.Errorf("CheckCommand(%q in %q) = %q, %v, want %s", s.Command, s.Directory, got, err, filepath.Join(dir, "run"))
		}
	}
}

func TestCheckCommandSaysWhyNothingCanBeRun(t *testing.T) {
	dir := commandDir(t, map[string]os.FileMode{"plain": 0o644, "dir": os.ModeDir})
	t.Setenv("PATH", filepath.Join(dir, "plain")+":"+dir) // the first is no directory
	for _, row := range []struct {
		command, directory, want string
	}{
		{"", dir, "no command"},
		{"nowhere", dir, `command: "nowhere" was not found in PATH`},
		{"node server.js", dir, `command: "node server.js" was not found in PATH: it is one word with a space in it: give it as two words, "node" "server.js"`},
		{"node server.js --port 3000", dir, `in PATH: it is one word with spaces in it: give it as 4 words, "node" "server.js" ...`},
		{"nowhere ", dir, `command: "nowhere " was not found in PATH: install it, or give its path`},
		{"./plain x", dir, dir + `/plain x: file does not exist: it is one word with a space in it: give it as two words, "./plain" "x"`},
		{"./nowhere", dir, "command: " + dir + "/nowhere: file does not exist"},
		{"plain", dir, "plain is not executable: chmod +x it, or name what runs it, like: node plain"},
		{"./plain", dir, "plain is not executable"},
		{"dir", dir, "dir is a directory, not a program"},
		{"./dir", dir, "dir is a directory, not a program"},
		{"./plain/x", dir, "not a directory"},
		{"plain", dir + "/none", "directory: stat " + dir + "/none: no such file or directory"},
		{"plain", dir + "/plain", "directory: " + dir + "/plain is not a directory"},
	} {
		_, err := CheckCommand(Settings{Command: []string{row.command}, Directory: row.directory})
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("CheckCommand(%q in %q) = %v, want one line with %q", row.command, row.directory, err, row.want)
		}
	}
}

func TestPackageManagersAreRefusedWithTheScriptToRun(t *testing.T) {
	dir := t.TempDir()
	manifest := `{"scripts": {"start": "node app.js --port 3000\n", "web": "node web.js", "odd": ""}}`
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"npm start":                `"npm start" keeps the worker's channel to itself: run "node app.js --port 3000" instead`,
		"npm":                      `run "node app.js --port 3000"`,
		"npm --silent run web":     `run "node web.js"`,
		"npm run-script web -- -x": `run "node web.js"`,
		"npm run":                  `run "node server.js"`,
		"npm run none":             `run "node server.js"`,
		"npm run odd":              `run "node server.js"`,
		"npm exec next start":      `run "node_modules/.bin/next start"`,
		"/usr/bin/npm start":       `"npm start" keeps`,
		"yarn":                     `run "node app.js --port 3000"`,
		"yarn start":               `run "node app.js --port 3000"`,
		"yarn web":                 `run "node web.js"`,
		"pnpm start":               `run "node app.js --port 3000"`,
		"pnpm run web":             `run "node web.js"`,
		"npx next start":           `run "node_modules/.bin/next start"`,
		"npx --yes serve":          `run "node_modules/.bin/serve"`,
		"npx":                      `run "node server.js"`,
	} {
		_, err := CheckCommand(Settings{Command: strings.Fields(command), Directory: dir})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("CheckCommand(%q) = %v, want one line with %s", command, err, want)
		}
	}
	for _, text := range []string{"", "{", `{"scripts": []}`} {
		if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := CheckCommand(Settings{Command: []string{"npm", "start"}, Directory: dir})
		if err == nil || !strings.Contains(err.Error(), `run "node server.js" instead`) {
			t.Errorf("CheckCommand with the package.json %q = %v, want an example to run", text, err)
		}
	}
}
