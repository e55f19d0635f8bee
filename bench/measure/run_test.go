package measure

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestTakeGoesInTurnAndNotesWhatFails(t *testing.T) {
	var order []string
	subject := func(name string, err error) Subject {
		return Subject{name, name, func(context.Context, *Bench) (Values, error) {
			order = append(order, name)
			return Values{"v": 1}, err
		}}
	}
	b := &Bench{Plan: Plan{Rounds: 2}}
	measures := []Measure{
		{Name: "m", Subjects: []Subject{subject("a", nil), subject("b", errors.New("no such port"))}},
		{Name: "n", Rounds: 1, Subjects: []Subject{subject("c", nil)}},
	}
	var progress strings.Builder
	samples, failures, err := b.Take(t.Context(), measures, &progress)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "b", "a", "c"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if len(samples) != 3 || len(failures) != 2 || failures[1].Round != 2 || failures[1].Error != "no such port" {
		t.Errorf("samples %v, failures %v", samples, failures)
	}
	if !strings.Contains(progress.String(), "m b 2/2") || !strings.Contains(progress.String(), "FAILED: no such port") {
		t.Errorf("progress:\n%s", progress.String())
	}
}

func TestTakeEndsWithItsContext(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	taken := 0
	m := Measure{Name: "m", Subjects: []Subject{{"a", "a", func(context.Context, *Bench) (Values, error) {
		taken++
		cancel(why)
		return Values{}, nil
	}}}}
	b := &Bench{Plan: Plan{Rounds: 5}}
	if _, _, err := b.Take(ctx, []Measure{m}, io.Discard); !errors.Is(err, why) || taken != 1 {
		t.Errorf("Take = %v after %d samples", err, taken)
	}
}
