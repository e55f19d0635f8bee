package ledger

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func balanced() Report {
	return Report{
		Requests: 9, Retried: 1, Sent: 10, Answered: 6, Lost: 2, ClosedIdle: 1, Cut: 1,
		Classes:     map[Class]int{Refused: 1, Hung: 1, ClosedIdle: 1, Cut: 1},
		Workers:     map[Who]int{{1, 11, 1}: 4, {2, 12, 2}: 2},
		Generations: map[int]int{1: 4, 2: 2},
		Failures:    []Failure{{ID: "0-0-7", Class: Hung}},
	}
}

func TestCheckFindsWhatDoesNotBalance(t *testing.T) {
	for want, change := range map[string]func(*Report){
		"2 lost: 1 refused, 1 hung":                func(r *Report) {},
		"first: 0-0-7 hung":                        func(r *Report) {},
		"11 sent, but 10 ended":                    func(r *Report) { r.Sent++ },
		"10 sent, but 10 requests and 1 retries":   func(r *Report) { r.Requests++ },
		"10 sent, but 6 answered and 5 in classes": func(r *Report) { r.Classes[Broken]++ },
		"6 answered, but 7 by workers":             func(r *Report) { r.Workers[Who{}]++ },
		"6 answered, but 5 by generations":         func(r *Report) { r.Generations[1]-- },
		"1 answers too many":                       func(r *Report) { r.Twice = 1 },
		"1 connects took 900ms or more":            func(r *Report) { r.SlowConnects, r.SYNRetries = 1, 1 },
		"2 connects took 900ms or more":            func(r *Report) { r.SlowConnects, r.SYNRetries = 2, -1 },
		"nothing was sent":                         func(r *Report) { r.Sent = 0 },
	} {
		r := balanced()
		change(&r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check() = %v, want %q", err, want)
		}
	}
	r := balanced()
	r.Lost, r.Classes = 0, map[Class]int{ClosedIdle: 2, Cut: 2}
	r.ClosedIdle, r.Cut, r.Retried, r.Requests = 2, 2, 2, 8
	if err := r.Check(); err != nil {
		t.Errorf("Check() with closed-idle and cut only = %v", err)
	}
}

func TestReportWithoutWhatIsAccountedForBalances(t *testing.T) {
	r := balanced()
	r.Failures = append(r.Failures, Failure{ID: "0-0-8", Class: Refused})
	lost := r.Failures
	if err := r.Without(lost).Check(); err != nil {
		t.Errorf("without all that was lost Check() = %v", err)
	}
	rest := r.Without(lost[:1])
	if err := rest.Check(); err == nil || !strings.Contains(err.Error(), "1 lost: 1 refused\nledger: first: 0-0-8") {
		t.Errorf("without one of two that were lost Check() = %v, want the other", err)
	}
	if r.Lost != 2 || r.Classes[Hung] != 1 || len(r.Failures) != 2 {
		t.Errorf("Without has changed the report: %+v", r)
	}
}

func TestReportIsReadable(t *testing.T) {
	got := balanced().String()
	for _, want := range []string{
		"10 sent = 6 answered + 2 lost + 1 closed-idle + 1 cut; 0 answers too many\n",
		"lost: 1 refused, 1 hung\n",
		"answered by worker 1 (pid 11, generation 1): 4\nanswered by worker 2 (pid 12, generation 2): 2\n",
		"0-0-7 hung",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("String() has no %q:\n%s", want, got)
		}
	}
	if lines := strings.Count(got, "\n"); lines != 7 {
		t.Errorf("String() has %d lines, want 7:\n%s", lines, got)
	}
}

func TestOnlyTheFirstFailuresAreTold(t *testing.T) {
	address := serve(t, "tcp", func(n int, p *peer) {})
	r := run(t, t.Context(), Config{Network: "tcp", Address: address, Clients: 3, Requests: 3, Failures: 4})
	counts{Requests: 9, Sent: 9, Lost: 9, Connections: 9}.check(t, r)
	if len(r.Failures) != 4 {
		t.Errorf("%d failures told, want 4", len(r.Failures))
	}
	for i := 1; i < len(r.Failures); i++ {
		if r.Failures[i].Ended.Before(r.Failures[i-1].Ended) {
			t.Errorf("failure %d is told before one that came earlier", i)
		}
	}
}

func TestConnectOfASynRetryIsFlagged(t *testing.T) {
	b := newBooks()
	b.connected(899 * time.Millisecond)
	b.connected(900 * time.Millisecond)
	if r := (&Ledger{}).report(&b); r.SlowConnects != 1 || r.Connections != 2 {
		t.Errorf("%d slow of %d connects, want 1 of 2", r.SlowConnects, r.Connections)
	}
}

func TestFullUnixQueueIsRefusedAndNoTimeout(t *testing.T) {
	for err, want := range map[error]Class{
		syscall.EAGAIN: Refused, syscall.ENOENT: Refused, syscall.ECONNREFUSED: Refused,
		syscall.ETIMEDOUT: DialTimeout, os.ErrDeadlineExceeded: DialTimeout,
	} {
		dialed := &net.OpError{Op: "dial", Err: err}
		if got := dialClass(fmt.Errorf("wrapped: %w", dialed)); got != want {
			t.Errorf("dialClass(%v) = %s, want %s", err, got, want)
		}
	}
}

func TestLatencyQuantiles(t *testing.T) {
	var took []time.Duration
	for i := 101; i > 0; i-- {
		took = append(took, time.Duration(i))
	}
	if got, want := latencyOf(took), (Latency{51, 91, 100, 101}); got != want {
		t.Errorf("latencyOf(1..101) = %v, want %v", got, want)
	}
	if got, want := latencyOf([]time.Duration{7}), (Latency{7, 7, 7, 7}); got != want {
		t.Errorf("latencyOf(7) = %v, want %v", got, want)
	}
}

func TestNewNamesTheFieldThatIsWrong(t *testing.T) {
	for want, cfg := range map[string]Config{
		"Network": {Address: "x"},
		"Address": {Network: "tcp"},
		"Clients": {Network: "tcp", Address: "x", Clients: -1},
		"Hang":    {Network: "tcp", Address: "x", Hang: -1},
		"Mode":    {Network: "tcp", Address: "x", Mode: 9},
		"Slow":    {Network: "tcp", Address: "x", Mode: Slow},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v, want an error naming %s", cfg, err, want)
		}
	}
}
