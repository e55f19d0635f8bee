//go:build linux

package machine

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
)

// allowance allows one message.
type allowance struct {
	name       string // for Expect; "" allows it everywhere
	identifier string // of the journal, exactly
	message    string // a pattern of the whole of it
	reason     string
}

// check refuses an allowance that says too little, or that allows more than one
// message.
func (a allowance) check() error {
	if a.identifier == "" || a.reason == "" {
		return fmt.Errorf("%q has no identifier or no reason", a.message)
	}
	re, err := syntax.Parse(a.message, syntax.Perl)
	if err != nil {
		return err
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	if len(parts) < 3 || parts[0].Op != syntax.OpBeginText || parts[len(parts)-1].Op != syntax.OpEndText {
		return fmt.Errorf("%q is not a pattern of a whole message, ^...$", a.message)
	}
	for _, p := range parts[1 : len(parts)-1] {
		if p.Op == syntax.OpLiteral && p.Flags&syntax.FoldCase == 0 || digits(p) {
			continue
		}
		return fmt.Errorf("%q matches more than one message: in %q more than digits may vary", a.message, p)
	}
	return nil
}

// digits is true for a pattern of digits: \d, \d+, \d{4}, and the same of [0-9a-f].
func digits(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpPlus, syntax.OpRepeat:
		return re.Sub[0].Op == syntax.OpCharClass && digits(re.Sub[0])
	case syntax.OpCharClass:
		class := string(re.Rune) // its ranges, from and to
		return class == "09" || class == "09af"
	default:
		return false
	}
}

// checkAllowed checks a whole list.
func checkAllowed(list []allowance) error {
	var errs []error
	names := make(map[string]bool)
	for _, a := range list {
		if a.name != "" && names[a.name] {
			errs = append(errs, fmt.Errorf("%q is the name of two", a.name))
		}
		names[a.name] = true
		errs = append(errs, a.check())
	}
	return errors.Join(errs...)
}

// judge says what is wrong with entries of WARNING and worse: those that the list
// does not allow, and the expected names that no entry is of. The names of may are
// allowed and not expected.
func judge(entries []Entry, list []allowance, expected, may []string) (faults []string) {
	seen := make(map[string]bool)
	open := make(map[string]bool)
	for _, name := range slices.Concat(expected, may) {
		open[name] = true
	}
	for _, e := range entries {
		ok := false
		for _, a := range list {
			if (a.name == "" || open[a.name]) && a.identifier == e.Identifier && regexp.MustCompile(a.message).MatchString(e.Message) {
				ok, seen[a.name] = true, true
			}
		}
		if !ok {
			faults = append(faults, "in the journal: "+e.String())
		}
	}
	for _, name := range expected {
		if !seen[name] {
			faults = append(faults, fmt.Sprintf("not in the journal: what the test expected as %q", name))
		}
	}
	return faults
}
