package stat

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSummarize(t *testing.T) {
	fifteen := []float64{15, 1, 14, 2, 13, 3, 12, 4, 11, 5, 10, 6, 9, 7, 8}
	for _, row := range []struct {
		name   string
		values []float64
		want   Summary
	}{
		{"none", nil, Summary{}},
		{"one", []float64{7}, Summary{1, 7, 7, 7, 0}},
		{"three have their range", []float64{3, 1, 2}, Summary{3, 2, 1, 3, 0.75}},
		{"five have their range", []float64{5, 1, 4, 2, 3}, Summary{5, 3, 1, 5, 0.9375}},
		{"six reach it with their range", []float64{6, 5, 4, 3, 2, 1}, Summary{6, 3.5, 1, 6, 0.96875}},
		{"eight would have 93% within", []float64{1, 2, 3, 4, 5, 6, 7, 8}, Summary{8, 4.5, 1, 8, 0.9921875}},
		{"fifteen: the 4th and the 12th", fifteen, Summary{15, 8, 4, 12, 0.96484375}},
	} {
		got := Summarize(row.values)
		if math.Abs(got.Coverage-row.want.Coverage) > 1e-9 {
			t.Errorf("%s: coverage %v, want %v", row.name, got.Coverage, row.want.Coverage)
		}
		got.Coverage = row.want.Coverage
		if got != row.want {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
	if fifteen[0] != 15 {
		t.Error("Summarize sorted what it borrowed")
	}
}

// Of a distribution with a long tail, as latencies have one, the interval holds the
// median as often as it says.
func TestTheIntervalCoversAsOftenAsItSays(t *testing.T) {
	const runs = 20_000
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{3, 6, 15, 30} {
		held, said := 0, 0.0
		for range runs {
			values := make([]float64, n)
			for i := range values {
				values[i] = random.ExpFloat64()
			}
			s := Summarize(values)
			if said = s.Coverage; s.Low <= math.Ln2 && math.Ln2 <= s.High {
				held++
			}
		}
		if got := float64(held) / runs; math.Abs(got-said) > 0.01 {
			t.Errorf("of %d values it held the median in %.3f of the runs, and said %.3f", n, got, said)
		}
	}
}

func TestQuantile(t *testing.T) {
	thousand := make([]float64, 1000)
	for i := range thousand {
		thousand[i] = float64(i + 1)
	}
	for q, want := range map[float64]float64{0: 1, 0.5: 500, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := Quantile(thousand, q); got != want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if got := Quantile([]float64{4}, 0.999); got != 4 {
		t.Errorf("of one value: %v, want it", got)
	}
	if got := Quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("of none: %v, want NaN", got)
	}
}
