package settings

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// A package manager starts the program through a shell of its own and does not
// pass descriptor 3 on: the worker would run, and never join. Node's own
// cluster cannot be run through them for the same reason.
var wrappers = []string{"npm", "npx", "yarn", "yarnpkg", "pnpm", "pnpx"}

// checkWrapper refuses a command that is a package manager's.
func checkWrapper(directory string, command []string) error {
	tool := filepath.Base(command[0])
	if !slices.Contains(wrappers, tool) {
		return nil
	}
	words := commandWords(command[1:])
	said := strings.Join(append([]string{tool}, words...), " ")
	better := instead(directory, tool, words)
	return fmt.Errorf("command: %q keeps the worker's channel to itself: run %q instead", said, better)
}

// commandWords is args without options: "npm --silent run web" is run, web.
func commandWords(args []string) []string {
	var words []string
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if !strings.HasPrefix(arg, "-") {
			words = append(words, arg)
		}
	}
	return words
}

// instead is what the package manager would have run, as far as package.json
// tells; else an example.
func instead(directory, tool string, words []string) string {
	if tool == "npx" || tool == "pnpx" {
		return program(words)
	}
	if len(words) == 0 {
		words = []string{"start"}
	}
	script := words[0]
	switch script {
	case "run", "run-script", "rum", "urn":
		if len(words) < 2 {
			return exampleCommand
		}
		script = words[1]
	case "exec", "x", "dlx":
		return program(words[1:])
	}
	if text := packageScript(directory, script); text != "" {
		return text
	}
	return exampleCommand
}

const exampleCommand = "node server.js"

// program is where a package's program lies once it is installed.
func program(words []string) string {
	if len(words) == 0 {
		return exampleCommand
	}
	return "node_modules/.bin/" + strings.Join(words, " ")
}

// packageScript returns scripts.NAME of the package.json in directory.
func packageScript(directory, name string) string {
	doc, err := readLimited(filepath.Join(directory, "package.json"))
	if err != nil {
		return ""
	}
	var manifest struct {
		Scripts map[string]string `json:"scripts"`
	}
	if json.Unmarshal(doc, &manifest) != nil {
		return ""
	}
	return strings.TrimSpace(manifest.Scripts[name])
}
