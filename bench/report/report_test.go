package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/bench/measure"
	"github.com/rondokit/rondo/bench/proc"
	"github.com/rondokit/rondo/bench/result"
)

// testRun is a run with the given values of per-request's rate, a slice a subject.
func testRun(values map[string][]float64) *result.Run {
	run := &result.Run{
		Machine: result.Machine{Processor: "A CPU", Processors: 2, Memory: "24 GiB", System: "Debian", Kernel: "6.1"},
		Command: "make bench", Began: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC), Took: "1m0s",
		Measures: measure.Describe(measure.All(measure.Quick)),
	}
	for subject, list := range values {
		for i, v := range list {
			run.Samples = append(run.Samples, result.Sample{Measure: "per-request", Subject: subject, Round: i + 1, Values: map[string]float64{"rate": v}})
		}
	}
	return run
}

func TestATargetIsMetByItsMedianAndItsLowerEnd(t *testing.T) {
	c := claims()[0] // from 1, the interval from 0.97
	for _, row := range []struct {
		name       string
		ours, base []float64
		want       bool
	}{
		{"better", []float64{110, 100, 120}, []float64{100, 100, 100}, true},
		{"the median misses", []float64{98, 120, 99}, []float64{100, 100, 100}, false},
		{"the interval reaches too low", []float64{90, 100, 120}, []float64{100, 100, 100}, false},
		{"pairs, not sides, are compared", []float64{100, 200, 300}, []float64{100, 190, 290}, true},
	} {
		f := c.find(testRun(map[string][]float64{c.subject: row.ours, c.base: row.base}))
		if f.met() != row.want || f.summary.N != 3 {
			t.Errorf("%s: met = %v of %+v", row.name, f.met(), f.summary)
		}
	}
	most := claim{title: "m", how: value, measure: "per-request", metric: "rate", subject: "go"}.upTo(10)
	if !most.find(testRun(map[string][]float64{"go": {10}})).met() || most.find(testRun(map[string][]float64{"go": {11}})).met() {
		t.Error("a target of at most 10")
	}
}

// A claim about what nobody measures would be left out of every report.
func TestEveryClaimIsMeasured(t *testing.T) {
	metrics, subjects := map[string]bool{}, map[string]bool{}
	for _, m := range measure.All(measure.Full) {
		for _, x := range m.Metrics {
			metrics[m.Name+" "+x.Name] = true
		}
		for _, s := range m.Subjects {
			if subjects[m.Name+" "+s.Name] {
				t.Errorf("%s has two subjects %s", m.Name, s.Name)
			}
			subjects[m.Name+" "+s.Name] = true
		}
	}
	for _, c := range claims() {
		if !metrics[c.measure+" "+c.metric] {
			t.Errorf("%q: no metric %s %s", c.title, c.measure, c.metric)
		}
		for _, name := range []string{c.subject, c.base} {
			if name == "" && c.how == value {
				continue
			}
			if !subjects[c.measure+" "+name] {
				t.Errorf("%q: no subject %s %q", c.title, c.measure, name)
			}
		}
	}
}

func TestNumber(t *testing.T) {
	for _, row := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "", "0"}, {1.0449, "x", "1.04x"}, {9.996, "µs", "10.00 µs"}, {12.34, "ms", "12.3 ms"}, {-43.2, "µs", "-43.2 µs"},
		{999.6, "", "1 000"}, {39912.4, "1/s", "39 912/s"}, {-1234567, "", "-1 234 567"}, {-123.4, "", "-123"},
	} {
		if got := number(row.v, row.unit); got != row.want {
			t.Errorf("number(%v, %q) = %q, want %q", row.v, row.unit, got, row.want)
		}
	}
}

func TestTheFilesTellWhatWasMeasuredAndWhatFailed(t *testing.T) {
	run := testRun(map[string][]float64{"go": {100, 100, 100}, "go-rondo-2": {95, 110, 120}})
	run.Failures = []result.Failure{{Measure: "kept", Subject: "go-nginx", Round: 2, Error: "nginx ended:\nno such port"}}
	run.Samples[0].Conditions = proc.Conditions{Others: 0.4}
	dir := t.TempDir()
	if err := Write(dir, run); err != nil {
		t.Fatal(err)
	}
	report := read(t, dir, "report.md")
	for _, want := range []string{
		"| Go, a connection per request, vs alone | 1.10x | [0.95x, 1.20x] | ≥ 1x, interval from 0.97x | **missed** |",
		"**Failed**: kept, go-nginx, round 2: nginx ended: no such port",
		"**Disturbed**: in 1 of 6 samples",
		"| Go alone | 100 [100, 100] | | |",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("report.md has no %q:\n%s", want, report)
		}
	}
	if table := read(t, dir, "table.md"); !strings.Contains(table, "A CPU, 2 processors, 24 GiB; 2026-11-22; `make bench`") {
		t.Errorf("table.md:\n%s", table)
	}
	var back result.Run
	if err := json.Unmarshal([]byte(read(t, dir, "results.json")), &back); err != nil || len(back.Samples) != 6 {
		t.Errorf("results.json: %d samples, %v", len(back.Samples), err)
	}
	if svg := read(t, dir, "per-request.svg"); !strings.Contains(svg, "Go under rondo, 2 workers") || !strings.Contains(svg, "</svg>") {
		t.Errorf("per-request.svg:\n%s", svg)
	}
	if _, err := os.Stat(filepath.Join(dir, "workers.svg")); !os.IsNotExist(err) {
		t.Errorf("a chart of nothing: %v", err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(text))
}
