package settings

import (
	"fmt"
	"slices"
	"strings"
)

// A Schedule says who accepts the connections of which listener: rules between commas,
// each RULE for all listeners or NAME=RULE for those of one name, as in "rr,admin=none".
// RULE is rr (the master accepts, and hands them over round-robin) or none (workers get
// the listening socket and accept by themselves: SCHED_NONE of Node's cluster).
type Schedule string

// ScheduleRR is the Schedule when nobody sets one.
const ScheduleRR Schedule = "rr"

const (
	ruleRR   = "rr"
	ruleNone = "none"
)

// Shares tells whether workers get the listening socket of that name. A rule for the
// name counts more than one for all.
func (s Schedule) Shares(name string) bool {
	shares := false
	for rule := range strings.SplitSeq(string(s), ",") {
		of, how, named := strings.Cut(rule, "=")
		switch {
		case !named:
			shares = of == ruleNone
		case of == name:
			return how == ruleNone
		}
	}
	return shares
}

// Names are those that it has rules for.
func (s Schedule) Names() []string {
	var names []string
	for rule := range strings.SplitSeq(string(s), ",") {
		if name, _, named := strings.Cut(rule, "="); named {
			names = append(names, name)
		}
	}
	return names
}

type scheduleField Schedule

func (f *scheduleField) clear()                { *f = "" }
func (f *scheduleField) add(text string) error { *f = scheduleField(text); return nil }
func (f *scheduleField) String() string        { return string(*f) }

// check refuses what is no rule, and the second rule for the same.
func (f *scheduleField) check() error {
	var seen []string
	for rule := range strings.SplitSeq(string(*f), ",") {
		name, how, named := strings.Cut(rule, "=")
		if !named {
			name, how = "", rule
		} else if p := checkFDName(name); p != nil {
			return fmt.Errorf("%q: the name before \"=\" %s, right would be \"admin=none\"", rule, p.what)
		}
		if how != ruleRR && how != ruleNone {
			return fmt.Errorf("%q is not %q or %q, nor NAME=%s", rule, ruleRR, ruleNone, ruleNone)
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("%q: there is another rule for the same", rule)
		}
		seen = append(seen, name)
	}
	return nil
}
