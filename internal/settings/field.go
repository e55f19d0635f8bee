package settings

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A field is one key's place in a Settings.
type field interface {
	clear()                // forget what a source of less weight said
	add(text string) error // take one value; a list takes several, one by one
	check() error          // whether the value, as it stands, is right
	String() string
}

// maxTime bounds the time-outs, so that sums of them never overflow.
const maxTime = 365 * 24 * time.Hour

type timeField time.Duration

func (f *timeField) clear() { *f = 0 }
func (f *timeField) add(text string) error {
	d, err := parseTime(text)
	*f = timeField(d)
	return err
}
func (f *timeField) check() error   { return checkTime(time.Duration(*f)) }
func (f *timeField) String() string { return time.Duration(*f).String() }

func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time with a unit, like \"30s\" or \"1m30s\"", text)
	}
	return d, checkTime(d)
}

func checkTime(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%v is not more than 0", d)
	}
	if d > maxTime {
		return fmt.Errorf("%v is longer than %v", d, maxTime)
	}
	return nil
}

type backoffField struct{ min, max *time.Duration }

func (f backoffField) clear() { *f.min, *f.max = 0, 0 }
func (f backoffField) add(text string) error {
	first, longest, ok := strings.Cut(text, "..")
	if !ok {
		return fmt.Errorf("%q is not FIRST..LONGEST, like \"100ms..30s\"", text)
	}
	var err error
	if *f.min, err = parseTime(first); err != nil {
		return err
	}
	*f.max, err = parseTime(longest)
	return err
}
func (f backoffField) check() error {
	if err := checkTime(*f.min); err != nil {
		return err
	}
	if *f.max < *f.min {
		return fmt.Errorf("%v is not FIRST..LONGEST: the longest wait is shorter than the first", f)
	}
	return checkTime(*f.max)
}
func (f backoffField) String() string { return fmt.Sprintf("%v..%v", *f.min, *f.max) }

// numberField has a word that stands for 0, "auto", or none.
type numberField struct {
	value    *int
	min, max int
	word     string
}

func (f numberField) clear() { *f.value = 0 }
func (f numberField) add(text string) error {
	if f.word != "" && text == f.word {
		*f.value = 0
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%q is not a number%s", text, f.orWord())
	}
	*f.value = n
	if n == 0 {
		return f.outside()
	}
	return f.check()
}
func (f numberField) check() error {
	if f.word != "" && *f.value == 0 {
		return nil
	}
	if *f.value < f.min || *f.value > f.max {
		return f.outside()
	}
	return nil
}
func (f numberField) outside() error {
	return fmt.Errorf("%d is not from %d to %d%s", *f.value, f.min, f.max, f.orWord())
}
func (f numberField) orWord() string {
	if f.word == "" {
		return ""
	}
	return fmt.Sprintf(", nor %q", f.word)
}
func (f numberField) String() string { return strconv.Itoa(*f.value) }

type switchField bool

func (f *switchField) clear() { *f = false }
func (f *switchField) add(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("%q is not true or false", text)
	}
	*f = switchField(on)
	return nil
}
func (f *switchField) check() error   { return nil }
func (f *switchField) String() string { return strconv.FormatBool(bool(*f)) }

// choiceField is one of two words.
type choiceField[T ~string] struct {
	value    *T
	one, two T
}

func choice[T ~string](value *T, one, two T) field { return choiceField[T]{value, one, two} }

func (f choiceField[T]) clear()                { *f.value = "" }
func (f choiceField[T]) add(text string) error { *f.value = T(text); return nil }
func (f choiceField[T]) check() error {
	if *f.value != f.one && *f.value != f.two {
		return fmt.Errorf("%q is not %q or %q", *f.value, f.one, f.two)
	}
	return nil
}
func (f choiceField[T]) String() string { return string(*f.value) }

type directoryField string

func (f *directoryField) clear()                { *f = "" }
func (f *directoryField) add(text string) error { *f = directoryField(text); return nil }
func (f *directoryField) check() error {
	if strings.ContainsFunc(string(*f), unicode.IsControl) {
		return fmt.Errorf("%q has a control character", string(*f))
	}
	return nil
}
func (f *directoryField) String() string { return string(*f) }
