package settings

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Sources are the places where settings come from. Load may be called again:
// it reads File anew, and the rest is what it was.
type Sources struct {
	// Flags holds the values given on the command line, in order, by key.
	Flags map[string][]string

	// Command is the COMMAND and its arguments on the command line; it replaces
	// the file's.
	Command []string

	// Env is the environment, as os.Environ gives it. Of the RONDO_ variables
	// those that are a key's count; RONDO_LISTEN is split at spaces. Others are
	// ignored: a worker's own (RONDO_SLOT) and those of newer versions.
	Env []string

	// File is the path of NAME.toml; empty means none.
	File string

	// DefaultName is the name where no source has one; empty means the base
	// name of COMMAND. A reload keeps the name by it when COMMAND changes.
	DefaultName string
}

// Load reads and resolves the settings: flags win over the environment, which
// wins over the file. A list is taken whole from the first that has it. A wrong
// value is an error also where another source overrides it.
func (src Sources) Load() (Settings, error) {
	var s Settings
	if src.File != "" {
		if err := loadFile(&s, src.File); err != nil {
			return Settings{}, err
		}
	}
	if err := loadEnv(&s, src.Env); err != nil {
		return Settings{}, err
	}
	if err := loadFlags(&s, src.Flags); err != nil {
		return Settings{}, err
	}
	if len(src.Command) > 0 {
		s.Command = append([]string(nil), src.Command...)
	}
	if len(s.Command) == 0 && src.File != "" {
		return Settings{}, fmt.Errorf("%s: no command: add one, like command = [\"node\", \"server.js\"]", src.File)
	}
	setDefault(&s.Name, src.DefaultName)
	return s.Resolve()
}

func loadFile(s *Settings, path string) error {
	doc, err := readLimited(path)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return parseFile(s, path, doc)
}

// maxFile is far above any NAME.toml; it stops a --config of /dev/zero.
const maxFile = 1 << 20

func readLimited(path string) ([]byte, error) {
	// Opening a FIFO waits for a writer otherwise; a reload would wait for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: settings are read again at each reload", path)
	}
	doc, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(doc) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return doc, err
}

func loadEnv(s *Settings, env []string) error {
	for _, k := range keys {
		if k.Form == Words {
			continue // COMMAND in a variable would need quoting rules
		}
		text, ok := lookup(env, k.Variable())
		if !ok || text == "" {
			continue
		}
		texts := []string{text}
		if k.Form == Listens {
			texts = strings.Fields(text)
		}
		if err := k.take(s, texts); err != nil {
			return fmt.Errorf("%s: %w", k.Variable(), err)
		}
	}
	return nil
}

// lookup returns the last value of name, as a process would see it.
func lookup(env []string, name string) (value string, ok bool) {
	for _, e := range env {
		if v, is := strings.CutPrefix(e, name+"="); is {
			value, ok = v, true
		}
	}
	return value, ok
}

func loadFlags(s *Settings, flags map[string][]string) error {
	for _, k := range keys {
		texts, ok := flags[k.Name]
		if !ok {
			continue
		}
		if err := k.take(s, texts); err != nil {
			return fmt.Errorf("--%s: %w", k.Name, err)
		}
	}
	return nil
}

// take replaces k's value in s by texts; of several for one that is not a list,
// the last stands.
func (k Key) take(s *Settings, texts []string) error {
	f := k.field(s)
	f.clear()
	for _, text := range texts {
		if err := f.add(text); err != nil {
			return err
		}
	}
	return f.check()
}
