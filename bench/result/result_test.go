package result

import (
	"slices"
	"testing"

	"github.com/rondokit/rondo/bench/proc"
)

func sample(subject string, round int, v, others float64) Sample {
	return Sample{Measure: "m", Subject: subject, Round: round, Values: map[string]float64{"v": v}, Conditions: proc.Conditions{Others: others}}
}

func TestRatiosAreOfOneRound(t *testing.T) {
	r := Run{Samples: []Sample{
		sample("a", 1, 10, 0), sample("b", 1, 5, 0),
		sample("a", 2, 30, 0), sample("b", 2, 10, 0),
		sample("a", 3, 99, 0), // b failed
		{Measure: "other", Subject: "a", Round: 1, Values: map[string]float64{"v": 7}},
	}}
	ratio := func(a, b float64) float64 { return a / b }
	got := slices.Sorted(slices.Values(Pairwise(r.Values("m", "a", "v"), r.Values("m", "b", "v"), ratio)))
	if want := []float64{2, 3}; !slices.Equal(got, want) {
		t.Errorf("Pairwise = %v, want %v", got, want)
	}
	if s := r.Summary("m", "a", "v"); s.N != 3 || s.Median != 30 {
		t.Errorf("Summary = %+v", s)
	}
	if s := r.Summary("m", "a", "w"); s.N != 0 {
		t.Errorf("Summary of a metric that there is not = %+v", s)
	}
}

func TestDisturbed(t *testing.T) {
	r := Run{Samples: []Sample{sample("a", 1, 1, 0.01), sample("a", 2, 1, 0.06), sample("a", 3, 1, 0.30)}}
	if n, most := r.Disturbed(); n != 2 || most != 0.30 {
		t.Errorf("Disturbed = %d, %v", n, most)
	}
}
