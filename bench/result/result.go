// Package result is what a run of the benchmarks yields, before anybody judges it.
package result

import (
	"fmt"
	"time"

	"github.com/rondokit/rondo/bench/proc"
	"github.com/rondokit/rondo/bench/stat"
)

// A Run is all of one run.
type Run struct {
	Machine  Machine   `json:"machine"`
	Command  string    `json:"command"`
	Quick    bool      `json:"quick"`
	Began    time.Time `json:"began"`
	Took     string    `json:"took"`
	Measures []Measure `json:"measures"`
	Samples  []Sample  `json:"samples"`
	Failures []Failure `json:"failures"`
}

// Machine is where, and what with.
type Machine struct {
	Processor  string    `json:"processor"`
	Processors int       `json:"processors"`
	Memory     string    `json:"memory"`
	System     string    `json:"system"`
	Kernel     string    `json:"kernel"`
	Programs   []Program `json:"programs"`
}

// A Program is one that took part, in its version.
type Program struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// A Measure is one thing that is measured on several subjects in turn.
type Measure struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	About    string    `json:"about"` // how, in a sentence or two
	Metrics  []Metric  `json:"metrics"`
	Subjects []Subject `json:"subjects"`
}

// A Metric is one number that a measure gives for a subject.
type Metric struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Unit  string `json:"unit"`
}

// A Subject is one of what a measure compares.
type Subject struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// A Sample is what one measure gave for one subject in one round.
type Sample struct {
	Measure    string             `json:"measure"`
	Subject    string             `json:"subject"`
	Round      int                `json:"round"`
	Values     map[string]float64 `json:"values"`
	Conditions proc.Conditions    `json:"conditions"`
}

// A Failure is a sample that there is not.
type Failure struct {
	Measure string `json:"measure"`
	Subject string `json:"subject"`
	Round   int    `json:"round"`
	Error   string `json:"error"`
}

// Values gives a metric of a subject, by round.
func (r *Run) Values(measure, subject, metric string) map[int]float64 {
	values := map[int]float64{}
	for _, s := range r.Samples {
		if v, ok := s.Values[metric]; ok && s.Measure == measure && s.Subject == subject {
			values[s.Round] = v
		}
	}
	return values
}

// Summary summarizes a metric of a subject.
func (r *Run) Summary(measure, subject, metric string) stat.Summary {
	var list []float64
	for _, v := range r.Values(measure, subject, metric) {
		list = append(list, v)
	}
	return stat.Summarize(list)
}

// Pairwise gives of(a, b) for each round that has both, so that what disturbed a whole
// round disturbs no ratio.
func Pairwise(a, b map[int]float64, of func(a, b float64) float64) []float64 {
	var list []float64
	for round, x := range a {
		if y, ok := b[round]; ok {
			list = append(list, of(x, y))
		}
	}
	return list
}

// Busy is the share of the processors' time from which on a sample counts as disturbed.
const Busy = 0.05

// Disturbed gives how many samples others disturbed, and the most that they, or the
// hypervisor, took.
func (r *Run) Disturbed() (samples int, most float64) {
	for _, s := range r.Samples {
		taken := s.Conditions.Others + s.Conditions.Steal
		if taken > Busy {
			samples++
		}
		most = max(most, taken)
	}
	return samples, most
}

// String is the machine in a line.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d processors, %s", m.Processor, m.Processors, m.Memory)
}
