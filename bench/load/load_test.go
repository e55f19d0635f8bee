package load

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	const head = "Running 60m test @ http://127.0.0.1:1/\n  Requests/sec:   9.0\n"
	const clean = `"errors":{"connect":0,"read":0,"write":0,"status":0,"timeout":0}}`
	got, err := parseWrk([]byte(head + `{"requests":900,"duration_us":500000,` + clean + "\n"))
	if err != nil || got.Requests != 900 || got.Rate() != 1800 {
		t.Errorf("parseWrk = %+v (%v/s), %v", got, got.Rate(), err)
	}
	for _, row := range []struct{ out, want string }{
		{head, "no summary"},
		{head + `{"requests":900,`, "EOF"},
		{head + `{"requests":9,"duration_us":0,` + clean, "no time"},
		{head + `{"requests":9,"duration_us":5,"errors":{"connect":0,"read":3,"write":0,"status":0,"timeout":0}}`, "read 3"},
	} {
		if _, err := parseWrk([]byte(row.out)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("parseWrk(%q): %v, want %q", row.out, err, row.want)
		}
	}
}

// slowly serves, the first request only after hold is closed. It closes many when it
// has seen fifty.
func slowly(t *testing.T, hold <-chan struct{}) (address string, many <-chan struct{}) {
	var seen atomic.Int64
	fifty := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		switch seen.Add(1) {
		case 1:
			<-hold
		case 50:
			close(fifty)
		}
		rw.Write([]byte("1\n"))
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), fifty
}

func TestAConstantRateDoesNotWaitForAnswers(t *testing.T) {
	for _, c := range []Connections{PerRequest, Kept} {
		hold := make(chan struct{})
		address, many := slowly(t, hold)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan Answers)
		go func() { // ends with stop
			a, err := Constant{Connections: c, Rate: 1000}.Run(ctx, address)
			if err != nil {
				t.Error(err)
			}
			done <- a
		}()
		<-many // while the first one waits
		close(hold)
		stop()
		a := <-done
		if err := a.Whole(); err != nil || a.Count() < 50 {
			t.Errorf("%s: %d answers, %v", c, a.Count(), err)
		}
		if slowest := a.Quantile(1); slowest < 30*time.Millisecond { // 49 more were sent meanwhile, one a millisecond
			t.Errorf("%s: the slowest answer took %v", c, slowest)
		}
	}
}

func TestFastestWaitsForAnswers(t *testing.T) {
	var now, most atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		rw.Write([]byte("1\n"))
		now.Add(-1)
	}))
	defer s.Close()
	rate, err := Constant{Connections: PerRequest, For: 100 * time.Millisecond}.Fastest(t.Context(), s.Listener.Addr().String())
	if err != nil || rate <= 0 {
		t.Errorf("Fastest = %v, %v", rate, err)
	}
	if most.Load() > 64 {
		t.Errorf("%d requests at a time", most.Load())
	}
}

func TestAFailedRequestIsCounted(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	a, err := Constant{Connections: Kept, Rate: 100, For: 50 * time.Millisecond}.Run(t.Context(), s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if a.Count() != 0 || a.Failed == 0 || a.Whole() == nil || !strings.Contains(a.Failure, "404") {
		t.Errorf("answers = %+v", a)
	}
}

func TestHold(t *testing.T) {
	hold := make(chan struct{})
	close(hold)
	address, _ := slowly(t, hold)
	held, err := Hold(t.Context(), address, 5)
	if err != nil || len(held) != 5 {
		t.Errorf("Hold = %d connections, %v", len(held), err)
	}
	for _, c := range held {
		if who, err := c.Ask(); err != nil || who != "1" { // it is still open
			t.Errorf("Ask = %q, %v", who, err)
		}
		c.Close()
	}
	if who, err := Once(t.Context(), address); err != nil || who != "1" {
		t.Errorf("Once = %q, %v", who, err)
	}
}

func TestAProgramIsInterruptedWhenItsTimeIsOver(t *testing.T) {
	const caught = `trap "echo over; exit 0" INT; while :; do sleep 0.01; done`
	if out, err := interrupted(t.Context(), 0, exec.Command("sh", "-c", caught)); err != nil || string(out) != "over\n" {
		t.Errorf("interrupted: %q, %v", out, err)
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := interrupted(ctx, time.Hour, exec.Command("sleep", "3600")); !errors.Is(err, why) {
		t.Errorf("interrupted: %v, want %v", err, why)
	}
	if out, err := interrupted(t.Context(), time.Hour, exec.Command("echo", "over")); err != nil || string(out) != "over\n" {
		t.Errorf("interrupted: %q, %v", out, err)
	}
}
