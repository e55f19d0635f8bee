package ledger

import (
	"fmt"
	"slices"
	"time"
)

// books are what one caller enters, and later the sum of all. Sent is counted
// when an attempt begins and its end when it ends, apart from each other, so that
// an attempt that gets lost in the ledger itself does not go unseen.
type books struct {
	requests, sent, retried int
	connections, slow       int
	unclosed                int

	workers  map[Who]int // answers
	took     []time.Duration
	failures []Failure // attempts that were not answered
	twice    []Failure // answers too many
}

func newBooks() books { return books{workers: make(map[Who]int)} }

// connected enters a new connection and how long it took.
func (b *books) connected(took time.Duration) {
	b.connections++
	if took >= synRetry {
		b.slow++
	}
}

func (b *books) answer(who Who, took time.Duration) {
	b.workers[who]++
	b.took = append(b.took, took)
}

func (b *books) fail(f Failure)  { b.failures = append(b.failures, f) }
func (b *books) again(f Failure) { b.twice = append(b.twice, f) }

// add enters all of other into b.
func (b *books) add(other *books) {
	b.requests += other.requests
	b.sent += other.sent
	b.retried += other.retried
	b.connections += other.connections
	b.slow += other.slow
	b.unclosed += other.unclosed
	for who, n := range other.workers {
		b.workers[who] += n
	}
	b.took = append(b.took, other.took...)
	b.failures = append(b.failures, other.failures...)
	b.twice = append(b.twice, other.twice...)
}

// settle asks the test what only it knows and closes the books.
func (l *Ledger) settle(callers []*books) Report {
	all := newBooks()
	for n, b := range callers {
		all.add(b)
		l.servedTwice(&all, n, b)
	}
	for i := range all.failures {
		f := &all.failures[i]
		if f.Class == ClosedIdle && l.cfg.Served != nil && l.cfg.Served(f.ID) > 0 {
			f.Class = InFlight
			f.Err = fmt.Errorf("the server had begun it: %w", f.Err)
		}
		switch f.Class {
		case Dropped, Broken, InFlight:
			if l.cfg.Cut != nil && l.cfg.Cut(*f) {
				f.Class = Cut
			}
		}
	}
	return l.report(&all)
}

// servedTwice enters into all every id of caller n that the server began more
// than once.
func (l *Ledger) servedTwice(all *books, n int, b *books) {
	if l.cfg.Served == nil {
		return
	}
	check := func(id string) {
		if times := l.cfg.Served(id); times > 1 {
			all.again(Failure{ID: id, Class: Twice, Err: fmt.Errorf("the server began it %d times", times)})
		}
	}
	for i := range b.requests {
		check(requestID(l.cfg, n, i))
	}
	for _, f := range b.failures {
		if f.Class == ClosedIdle {
			check(retryID(f.ID))
		}
	}
}

// report is what the closed books say.
func (l *Ledger) report(b *books) Report {
	r := Report{
		Requests: b.requests, Sent: b.sent, Retried: b.retried,
		Answered: len(b.took), Twice: len(b.twice),
		Connections: b.connections, SlowConnects: b.slow, Unclosed: b.unclosed,
		Classes:     make(map[Class]int),
		Workers:     b.workers,
		Generations: make(map[int]int),
		Latency:     latencyOf(b.took),
	}
	for who, n := range b.workers {
		r.Generations[who.Generation] += n
	}
	told := slices.Clone(b.twice)
	for _, f := range b.failures {
		r.Classes[f.Class]++
		switch {
		case f.Class == ClosedIdle:
			r.ClosedIdle++
			r.ClosedIdleMax = max(r.ClosedIdleMax, f.Ended.Sub(f.Started))
			continue // HTTP's own race is counted, not told
		case f.Class == Cut:
			r.Cut++
		case f.Class.Lost():
			r.Lost++
		default:
			panic(fmt.Sprintf("ledger: an attempt ended as %q: %v", f.Class, f))
		}
		told = append(told, f)
	}
	slices.SortStableFunc(told, func(a, b Failure) int { return a.Ended.Compare(b.Ended) })
	r.Failures = told[:min(len(told), l.cfg.Failures)]
	return r
}
