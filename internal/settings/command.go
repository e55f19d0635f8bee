package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// CheckCommand returns the absolute path of the program that s.Command runs:
// found in PATH, or relative to s.Directory when it has a slash. The error says
// why nothing can be run; a wrapper that swallows the worker's channel, like
// npm start, is refused with the command to use instead.
func CheckCommand(s Settings) (string, error) {
	if len(s.Command) == 0 || s.Command[0] == "" {
		return "", errNoCommand
	}
	directory, err := checkDirectory(s.Directory)
	if err != nil {
		return "", err
	}
	if err := checkWrapper(directory, s.Command); err != nil {
		return "", err
	}
	name := s.Command[0]
	if !strings.Contains(name, "/") {
		return lookPath(name, os.Getenv("PATH"))
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(directory, name)
	}
	err = checkExecutable(name)
	if advice := apart(s.Command[0]); advice != "" && errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("command: %w: %s", err, advice)
	}
	if err != nil {
		return "", fmt.Errorf("command: %w", err)
	}
	return name, nil
}

// checkDirectory returns the absolute directory in which the workers run.
func checkDirectory(directory string) (string, error) {
	path, err := filepath.Abs(directory)
	if err != nil {
		return "", fmt.Errorf("directory: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("directory: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("directory: %s is not a directory", path)
	}
	return path, nil
}

// lookPath is exec.LookPath, which for a file that cannot be executed says only
// that none was found. Relative entries of PATH are passed over: what they name
// changes with the directory.
func lookPath(name, list string) (string, error) {
	var unusable error
	for _, dir := range filepath.SplitList(list) {
		if !filepath.IsAbs(dir) {
			continue
		}
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			continue // nothing there, or nothing that we may look at
		}
		err := checkExecutable(path)
		if err == nil {
			return path, nil
		}
		if unusable == nil {
			unusable = err
		}
	}
	if unusable != nil {
		return "", fmt.Errorf("command: %w", unusable)
	}
	advice := apart(name)
	if advice == "" {
		advice = "install it, or give its path"
	}
	return "", fmt.Errorf("command: %q was not found in PATH: %s", name, advice)
}

// apart is the advice to write a word as several, if it has spaces in it.
func apart(word string) string {
	words := strings.Fields(word)
	switch len(words) {
	case 0, 1:
		return ""
	case 2:
		return fmt.Sprintf("it is one word with a space in it: give it as two words, %q %q", words[0], words[1])
	}
	return fmt.Sprintf("it is one word with spaces in it: give it as %d words, %q %q ...", len(words), words[0], words[1])
}

// checkExecutable says what keeps path from being run by this process.
func checkExecutable(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a directory, not a program", path)
	}
	if info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("%s is not executable: chmod +x it, or name what runs it, like: node %s", path, filepath.Base(path))
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return fmt.Errorf("%s: not executable for this user: %w", path, err)
	}
	return nil
}
