package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/rondokit/rondo/bench/stat"
)

// Constant is an open loop: requests are sent at a constant rate, whether earlier ones
// have been answered or not, so that what waits behind a slow answer is counted.
type Constant struct {
	Connections Connections
	Rate        int           // requests a second
	For         time.Duration // 0 means until ctx ends
}

// Answers are what a constant rate got.
type Answers struct {
	latencies []time.Duration // sorted; from when it was to be sent to the end of the answer
	late      []time.Duration // sorted; how long after their time requests were sent
	Took      time.Duration
	Worst     time.Duration // of all requests, also of those that failed
	Failed    int
	Failure   string // the first one
}

// Count is the number of requests that were answered.
func (a Answers) Count() int { return len(a.latencies) }

// Quantile is the latency that the share q of the answers did not exceed.
func (a Answers) Quantile(q float64) time.Duration { return quantile(a.latencies, q) }

// Late is the same of how long after its time this process sent a request. Where it
// is far above the latencies, the client was what was slow.
func (a Answers) Late(q float64) time.Duration { return quantile(a.late, q) }

// Whole is an error unless all requests were answered well.
func (a Answers) Whole() error {
	if a.Failed > 0 || a.Count() == 0 {
		return fmt.Errorf("%d requests were answered and %d failed: %s", a.Count(), a.Failed, a.Failure)
	}
	return nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	seconds := make([]float64, len(sorted))
	for i, d := range sorted {
		seconds[i] = float64(d)
	}
	return time.Duration(stat.Quantile(seconds, q))
}

// patience is how long a request may take before it has failed.
const patience = 5 * time.Second

// Run sends requests to the addresses in turn.
func (l Constant) Run(ctx context.Context, addresses ...string) (Answers, error) {
	return l.attack(ctx, addresses)
}

// Fastest is the rate, in requests a second, that this client and whoever serves
// address reach together: a closed loop of 64. Rate is not used.
func (l Constant) Fastest(ctx context.Context, address string) (float64, error) {
	l.Rate = 0
	got, err := l.attack(ctx, []string{address}, vegeta.Workers(64), vegeta.MaxWorkers(64))
	if err := errors.Join(err, got.Whole()); err != nil {
		return 0, err
	}
	return float64(got.Count()) / got.Took.Seconds(), nil
}

// attack is without a pace if the rate is 0.
func (l Constant) attack(ctx context.Context, addresses []string, more ...func(*vegeta.Attacker)) (Answers, error) {
	targets := make([]vegeta.Target, len(addresses))
	for i, address := range addresses {
		targets[i] = vegeta.Target{Method: http.MethodGet, URL: "http://" + address + "/"}
	}
	transport := &http.Transport{DisableKeepAlives: l.Connections == PerRequest, MaxIdleConnsPerHost: 10_000, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := vegeta.Client(&http.Client{Transport: transport, Timeout: patience})
	attacker := vegeta.NewAttacker(append(more, client)...)
	stop := context.AfterFunc(ctx, func() { attacker.Stop() })
	defer stop()
	rate := vegeta.Rate{Freq: l.Rate, Per: time.Second}
	began := time.Now()
	var got Answers
	for r := range attacker.Attack(vegeta.NewStaticTargeter(targets...), rate, l.For, "") {
		due := time.Duration(r.Seq) * time.Second / time.Duration(max(1, l.Rate))
		late := max(0, r.Timestamp.Sub(began)-due)
		got.late = append(got.late, late)
		if l.Rate > 0 { // counted from when it was to be sent: it waited, too
			r.Latency += late
		}
		got.Worst = max(got.Worst, r.Latency)
		if r.Error != "" {
			got.fail(r.Error)
			continue
		}
		got.latencies = append(got.latencies, r.Latency)
	}
	got.Took = time.Since(began)
	slices.Sort(got.latencies)
	slices.Sort(got.late)
	if l.For > 0 && ctx.Err() != nil {
		return Answers{}, context.Cause(ctx)
	}
	return got, nil
}

func (a *Answers) fail(why string) {
	a.Failed++
	if a.Failure == "" {
		a.Failure = why
	}
}
