package settings

import (
	"fmt"
	"strings"
)

// maxName leaves room for the rest of the control socket's path.
const maxName = 64

// nameField is the name of the service: part of paths and of unit names.
type nameField string

func (f *nameField) clear()                { *f = "" }
func (f *nameField) add(text string) error { *f = nameField(text); return nil }
func (f *nameField) check() error {
	return CheckName(string(*f))
}
func (f *nameField) String() string { return string(*f) }

// CheckName says whether name can be a service's: letters, digits, ".", "_" and
// "-", a letter or digit first, 64 bytes at most. It is safe in a path.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("the name is empty")
	}
	if len(name) > maxName {
		return fmt.Errorf("%q is longer than %d bytes", name, maxName)
	}
	for i := range len(name) {
		if !nameByte(name[i]) || i == 0 && strings.IndexByte("._-", name[0]) >= 0 {
			return fmt.Errorf("%q is not a name of letters, digits, \".\", \"_\" and \"-\", a letter or digit first, like app", name)
		}
	}
	return nil
}

type commandField []string

func (f *commandField) clear() { *f = nil }
func (f *commandField) add(text string) error {
	*f = append(*f, text)
	return nil
}
func (f *commandField) check() error {
	if len(*f) == 0 || (*f)[0] == "" {
		return errNoCommand
	}
	for _, word := range *f {
		if strings.IndexByte(word, 0) >= 0 {
			return fmt.Errorf("%q has a zero byte", word)
		}
	}
	return nil
}
func (f *commandField) String() string { return fmt.Sprintf("%q", []string(*f)) }

type listenField []Listen

func (f *listenField) clear() { *f = nil }
func (f *listenField) add(text string) error {
	l, err := ParseListen(text)
	if err == nil {
		*f = append(*f, l)
	}
	return err
}

// check finds a socket said twice: the second could only fail to bind. And as CheckWants.
func (f *listenField) check() error {
	seen := make(map[Listen]Listen)
	for _, l := range *f {
		socket := l
		socket.Name, socket.Want = "", nil
		if first, twice := seen[socket]; twice {
			return fmt.Errorf("%q and %q are the same socket: say it once", first, l)
		}
		seen[socket] = l
	}
	return CheckWants(*f)
}
func (f *listenField) String() string { return fmt.Sprint([]Listen(*f)) }
