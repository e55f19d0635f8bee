package measure

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rondokit/rondo/bench/proc"
	"github.com/rondokit/rondo/bench/result"
)

// Take takes the measures: the subjects of each in turn, as many rounds as the measure
// has, and each round from the next subject on: A B C, B C A. So nobody always follows
// the same one. What fails is noted, and the rest goes on. It tells progress line by line.
func (b *Bench) Take(ctx context.Context, measures []Measure, progress io.Writer) ([]result.Sample, []result.Failure, error) {
	var samples []result.Sample
	var failures []result.Failure
	for _, m := range measures {
		rounds := m.Rounds
		if rounds == 0 {
			rounds = b.Plan.Rounds
		}
		for round := 1; round <= rounds; round++ {
			for i := range m.Subjects {
				s := m.Subjects[(i+round-1)%len(m.Subjects)]
				began := time.Now()
				values, conditions, err := b.sample(ctx, s)
				if ctx.Err() != nil {
					return samples, failures, context.Cause(ctx)
				}
				fmt.Fprintf(progress, "%s %s %d/%d (%.1fs): %s\n", m.Name, s.Name, round, rounds, time.Since(began).Seconds(), told(m, values, conditions, err))
				if err != nil {
					failures = append(failures, result.Failure{Measure: m.Name, Subject: s.Name, Round: round, Error: err.Error()})
					continue
				}
				samples = append(samples, result.Sample{Measure: m.Name, Subject: s.Name, Round: round, Values: values, Conditions: conditions})
			}
		}
	}
	return samples, failures, nil
}

// sample takes one sample, and watches who else uses the machine meanwhile.
func (b *Bench) sample(ctx context.Context, s Subject) (Values, proc.Conditions, error) {
	watch, err := proc.Begin()
	if err != nil {
		return nil, proc.Conditions{}, err
	}
	values, err := s.Run(ctx, b)
	if err != nil {
		return nil, proc.Conditions{}, err
	}
	conditions, err := watch.End()
	return values, conditions, err
}

// told is a sample as a line.
func told(m Measure, values Values, c proc.Conditions, err error) string {
	if err != nil {
		return "FAILED: " + err.Error()
	}
	var parts []string
	for _, metric := range m.Metrics {
		if v, ok := values[metric.Name]; ok {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %.4g %s", metric.Name, v, metric.Unit)))
		}
	}
	if taken := c.Others + c.Steal; taken > result.Busy {
		parts = append(parts, fmt.Sprintf("others used %.0f%%", taken*100))
	}
	return strings.Join(parts, ", ")
}

// Describe gives what the report says of the measures.
func Describe(measures []Measure) []result.Measure {
	var list []result.Measure
	for _, m := range measures {
		d := result.Measure{Name: m.Name, Title: m.Title, About: m.About, Metrics: m.Metrics}
		for _, s := range m.Subjects {
			d.Subjects = append(d.Subjects, result.Subject{Name: s.Name, Title: s.Title})
		}
		list = append(list, d)
	}
	return list
}
