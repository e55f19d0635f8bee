package main

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/bench/measure"
)

func TestChosen(t *testing.T) {
	all := measure.All(measure.Quick)
	got, err := chosen(all, []string{"kept", "per-request"}, []string{"go", "go-nginx"}, 7)
	if err != nil || len(got) != 2 {
		t.Fatalf("chosen = %d measures, %v", len(got), err)
	}
	for i, want := range []string{"per-request", "kept"} { // in the report's order
		if m := got[i]; m.Name != want || m.Rounds != 7 || !slices.Equal(names(m), []string{"go", "go-nginx"}) {
			t.Errorf("measure %d is %s, %d rounds of %v", i, m.Name, m.Rounds, names(m))
		}
	}
	if got, err := chosen(all, nil, nil, 0); err != nil || len(got) != len(all) {
		t.Errorf("all: %d measures, %v", len(got), err)
	}
	for _, wrong := range [][]string{{"keep"}, {"kept", "go"}} {
		if _, err := chosen(all, wrong, nil, 0); err == nil || !strings.Contains(err.Error(), wrong[len(wrong)-1]) {
			t.Errorf("-only %v: %v", wrong, err)
		}
	}
}

func TestList(t *testing.T) {
	var out strings.Builder
	if _, err := parseOptions([]string{"-list", "-only", "idle"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("parseOptions = %v", err)
	}
	if got := out.String(); !strings.HasPrefix(got, "idle: go-rondo-2 ") || strings.Count(got, "\n") != 1 {
		t.Errorf("-list printed %q", got)
	}
}
