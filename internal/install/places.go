package install

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks is the kernel's own limit for one path.
const maxLinks = 40

// places gives where path leads to by symbolic links: each further path on the
// way, the last of which is the file. Without links there are none. A sandbox must
// show them all.
func places(path string) []string {
	var found []string
	for range maxLinks {
		next := follow(path)
		if next == "" {
			break
		}
		found = append(found, next)
		path = next
	}
	return found
}

// follow replaces the first symbolic link in path, or gives "".
func follow(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	at := "/"
	for i, part := range parts {
		at = filepath.Join(at, part)
		target, err := os.Readlink(at)
		if err != nil {
			continue
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		return filepath.Join(append([]string{target}, parts[i+1:]...)...)
	}
	return ""
}

// An interpreter is what a script names in its first line.
type interpreter struct {
	path string // as it stands there
	env  string // what env(1) is to look for, if that is the interpreter
}

// interpreterOf reads the first line of a program. One that is no script, or
// cannot be read, has no interpreter.
func interpreterOf(program string) interpreter {
	f, err := os.Open(program)
	if err != nil {
		return interpreter{}
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 256).ReadSlice('\n') // the kernel reads no more
	text, script := strings.CutPrefix(string(line), "#!")
	words := strings.Fields(text)
	if !script || len(words) == 0 {
		return interpreter{}
	}
	in := interpreter{path: words[0]}
	if filepath.Base(words[0]) == "env" && len(words) > 1 && !strings.HasPrefix(words[1], "-") {
		in.env = words[1]
	}
	return in
}

// servicePath is the PATH of a service that sets none: systemd's own.
const servicePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// inPath gives the first executable file called name.
func inPath(name, list string) string {
	for _, dir := range filepath.SplitList(list) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// argumentFiles are the files that arguments name: node server.js must read
// server.js. What is no file that exists is an argument of another kind.
func argumentFiles(directory string, args []string) []string {
	var files []string
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") {
			continue
		}
		path := arg
		if !filepath.IsAbs(path) {
			path = filepath.Join(directory, path)
		}
		if _, err := os.Stat(path); err == nil && !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	return files
}

// missingScript is the program of node's that is not there, or "". Node tells it only
// when it starts. An option before it could take any word with it, so then nothing is
// said.
func missingScript(program, directory string, args []string) string {
	if base := filepath.Base(program); base != "node" && base != "nodejs" || len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return ""
	}
	path := args[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(directory, path)
	}
	for _, suffix := range []string{"", ".js", ".json", ".node"} { // as require does
		if _, err := os.Stat(path + suffix); err == nil {
			return ""
		}
	}
	return path
}

// within says whether path is directory or below it.
func within(path, directory string) bool {
	return path == directory || strings.HasPrefix(path, strings.TrimSuffix(directory, "/")+"/")
}
