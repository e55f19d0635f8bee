package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report is the account of a Run.
type Report struct {
	Requests int // that clients made
	Retried  int // of them a second time, after a closed-idle connection
	Sent     int // attempts, also those that got no connection: Requests and Retried

	Answered   int
	Lost       int
	ClosedIdle int
	Cut        int
	Twice      int // answers too many

	Classes     map[Class]int // every attempt that was not answered
	Workers     map[Who]int   // answers by who gave them
	Generations map[int]int   // answers by generation

	Connections  int
	SlowConnects int // took 900 ms or more: a silent SYN retry, or a machine that is too busy
	SYNRetries   int // that the kernel counted meanwhile in this network namespace; -1: it does not count
	Unclosed     int // not closed by the server within 1 s of an answer that was the last

	// ClosedIdleMax is the longest that a closed-idle request had waited. The race
	// takes next to no time: long waits are requests that died in hand. Set
	// Config.Served where this can be.
	ClosedIdleMax time.Duration
	Latency       Latency
	Took          time.Duration

	// Failures are the first of what was lost, cut or answered twice.
	Failures []Failure
}

// Latency is of answered requests, from the first attempt to the end of the
// answer.
type Latency struct {
	P50, P90, P99, Max time.Duration
}

// latencyOf sorts took.
func latencyOf(took []time.Duration) Latency {
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100] }
	return Latency{P50: at(50), P90: at(90), P99: at(99), Max: at(100)}
}

// Check returns an error if the books do not balance, if anything was lost or
// answered twice, or if a connect was slow because its SYN was retried, which is
// lost too. Closed-idle and cut are no error.
func (r Report) Check() error {
	var errs []error
	claim := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("ledger: "+format, args...))
		}
	}
	ended := r.Answered + r.Lost + r.ClosedIdle + r.Cut
	claim(r.Sent > 0, "nothing was sent")
	claim(r.Sent == ended, "%d sent, but %d ended", r.Sent, ended)
	claim(r.Sent == r.Requests+r.Retried, "%d sent, but %d requests and %d retries", r.Sent, r.Requests, r.Retried)
	claim(r.Sent == r.Answered+sum(r.Classes), "%d sent, but %d answered and %d in classes", r.Sent, r.Answered, sum(r.Classes))
	claim(r.Answered == sum(r.Workers), "%d answered, but %d by workers", r.Answered, sum(r.Workers))
	claim(r.Answered == sum(r.Generations), "%d answered, but %d by generations", r.Answered, sum(r.Generations))
	claim(r.Twice == 0, "%d answers too many", r.Twice)
	claim(r.SlowConnects == 0 || r.SYNRetries == 0, "%d connects took %v or more: a silent SYN retry", r.SlowConnects, synRetry)
	claim(r.Lost == 0, "%d lost: %s", r.Lost, r.lost())
	if len(errs) > 0 && len(r.Failures) > 0 {
		errs = append(errs, fmt.Errorf("ledger: first: %v", r.Failures[0]))
	}
	return errors.Join(errs...)
}

// Without gives the report without requests that were lost and that the test accounts
// for otherwise, for Check to look at the rest.
func (r Report) Without(lost []Failure) Report {
	r.Classes = maps.Clone(r.Classes)
	r.Failures = slices.Clone(r.Failures)
	for _, f := range lost {
		r.Requests--
		r.Sent--
		r.Lost--
		r.Classes[f.Class]--
		r.Failures = slices.DeleteFunc(r.Failures, func(other Failure) bool { return other.ID == f.ID && other.Class == f.Class })
	}
	return r
}

// lost is the lost by class, in words.
func (r Report) lost() string {
	var words []string
	for _, c := range lostClasses {
		if n := r.Classes[c]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, c))
		}
	}
	return strings.Join(words, ", ")
}

// String is the report for people, in a few lines.
func (r Report) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%d sent = %d answered + %d lost + %d closed-idle + %d cut; %d answers too many",
		r.Sent, r.Answered, r.Lost, r.ClosedIdle, r.Cut, r.Twice)
	line("%d requests, %d retried, %d connections (%d slow, %d unclosed) in %v",
		r.Requests, r.Retried, r.Connections, r.SlowConnects, r.Unclosed, r.Took.Round(time.Millisecond))
	line("latency p50 %v, p90 %v, p99 %v, max %v; closed-idle after %v at most",
		r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.Max, r.ClosedIdleMax)
	if r.Lost > 0 {
		line("lost: %s", r.lost())
	}
	for _, who := range slices.SortedFunc(maps.Keys(r.Workers), compareWho) {
		line("answered by %s: %d", who, r.Workers[who])
	}
	for _, f := range r.Failures {
		line("  %s", f)
	}
	return b.String()
}

func compareWho(a, b Who) int {
	return slices.Compare([]int{a.Generation, a.Worker, a.PID}, []int{b.Generation, b.Worker, b.PID})
}

func sum[K comparable](counts map[K]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}
