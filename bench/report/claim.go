// Package report says what a run's results mean: claims beside their targets, as
// Markdown, JSON and charts.
package report

import (
	"fmt"

	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/stat"
)

// how is the way from samples to a claim's number.
type how string

const (
	ratio      how = "ratio"      // of two subjects, in one round
	difference how = "difference" // of two subjects, in one round
	value      how = "value"      // of one subject
)

// bound is the side of its target on which a claim holds.
type bound string

const (
	none    bound = ""
	atLeast bound = "≥"
	atMost  bound = "≤"
)

// A claim is a sentence of the README with a number in it.
type claim struct {
	title   string
	how     how
	measure string
	metric  string
	subject string
	base    string // of ratio and difference
	bound   bound
	target  float64
	low     float64 // what the interval's lower end must reach, too; 0 for nothing
}

// A finding is a claim and what was measured.
type finding struct {
	claim
	summary stat.Summary
	unit    string
}

// find looks for the samples of a claim. Without any, N of its summary is 0.
func (c claim) find(run *result.Run) finding {
	of := run.Values(c.measure, c.subject, c.metric)
	f := finding{claim: c, unit: unit(run, c.measure, c.metric)}
	var list []float64
	switch c.how {
	case ratio:
		f.unit = "x"
		list = result.Pairwise(of, run.Values(c.measure, c.base, c.metric), func(a, b float64) float64 { return a / b })
	case difference:
		list = result.Pairwise(of, run.Values(c.measure, c.base, c.metric), func(a, b float64) float64 { return a - b })
	case value:
		for _, v := range of {
			list = append(list, v)
		}
	default:
		panic(fmt.Sprintf("claim %q has how %q", c.title, c.how))
	}
	f.summary = stat.Summarize(list)
	return f
}

// met tells whether the median, and the lower end where that is asked, reach the target.
func (f finding) met() bool {
	switch f.bound {
	case atLeast:
		return f.summary.Median >= f.target && f.summary.Low >= f.low
	case atMost:
		return f.summary.Median <= f.target
	}
	return true
}

func unit(run *result.Run, measure, metric string) string {
	for _, m := range run.Measures {
		for _, x := range m.Metrics {
			if m.Name == measure && x.Name == metric {
				return x.Unit
			}
		}
	}
	return ""
}
