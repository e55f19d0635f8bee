package report

// claims are what the README says, in its order; those with a bound are targets.
func claims() []claim {
	var list []claim
	for _, group := range [][]claim{goClaims(), nodeClaims(), masterClaims(), scaleClaims()} {
		list = append(list, group...)
	}
	return list
}

// vs is a ratio of requests per second.
func vs(title, measure, subject, base string) claim {
	return claim{title: title, how: ratio, measure: measure, metric: "rate", subject: subject, base: base}
}

// cost is a ratio of CPU time per request, where the client has processors of its own.
func cost(title, subject, base string) claim {
	return claim{title: title, how: ratio, measure: "apart", metric: "cpu", subject: subject, base: base}
}

func (c claim) from(target float64) claim {
	c.bound, c.target = atLeast, target
	return c
}

func (c claim) upTo(target float64) claim {
	c.bound, c.target = atMost, target
	return c
}

func goClaims() []claim {
	alone := vs("Go, a connection per request, vs alone", "per-request", "go-rondo-2", "go").from(1)
	alone.low = 0.97
	return []claim{
		alone,
		vs("the same, 1 worker", "per-request", "go-rondo-1", "go"),
		vs("the same, the client on processors of its own", "apart", "go-rondo-2", "go"),
		vs("the same, workers under SCHED_BATCH too (CPUSchedulingPolicy=batch)", "per-request", "go-rondo-2-unit-batch", "go"),
		vs("the same, both under SCHED_BATCH", "per-request", "go-rondo-2-unit-batch", "go-batch"),
		vs("the same, vs alone with SCHED_BATCH and the share of GOMAXPROCS", "per-request", "go-rondo-2", "go-batch-share"),
		vs("the same, vs alone with SCHED_BATCH", "per-request", "go-rondo-2", "go-batch"),
		cost("CPU time for each, the client apart, vs alone", "go-rondo-2", "go"),
		vs("Go, kept connections, vs alone", "kept", "go-rondo-2", "go").from(0.99),
		vs("the same, 1 worker", "kept", "go-rondo-1", "go"),
		vs("Go, a connection per request, vs HAProxy in front", "per-request", "go-rondo-2", "go-haproxy").from(1.5),
		vs("the same, the client on processors of its own", "apart", "go-rondo-2", "go-haproxy"),
		vs("Go, a connection per request, vs nginx in front", "per-request", "go-rondo-2", "go-nginx").from(1.6),
		vs("the same, the client on processors of its own", "apart", "go-rondo-2", "go-nginx"),
		vs("Go, a connection per request, vs socket-proxyd in front", "per-request", "go-rondo-2", "go-socket-proxyd").from(2.4),
		vs("the same, the client on processors of its own", "apart", "go-rondo-2", "go-socket-proxyd"),
		cost("CPU time for each, the client apart, vs HAProxy in front", "go-rondo-2", "go-haproxy"),
		cost("the same, vs nginx in front", "go-rondo-2", "go-nginx"),
		cost("the same, vs socket-proxyd in front", "go-rondo-2", "go-socket-proxyd"),
		vs("Go, kept connections, vs HAProxy in front", "kept", "go-rondo-2", "go-haproxy").from(1.4),
		vs("the same, vs nginx in front", "kept", "go-rondo-2", "go-nginx").from(1.7),
		vs("the same, vs socket-proxyd in front", "kept", "go-rondo-2", "go-socket-proxyd").from(3),
	}
}

func nodeClaims() []claim {
	return []claim{
		vs("Node, a connection per request, vs its cluster (rr)", "per-request", "node-rondo-2", "node-cluster-rr").from(1.4),
		vs("the same, vs its cluster (none)", "per-request", "node-rondo-2", "node-cluster-none").from(0.95),
		vs("the same, vs pm2", "per-request", "node-rondo-2", "node-pm2").from(1.7),
		vs("the same, vs alone (one process)", "per-request", "node-rondo-2", "node"),
		cost("CPU time for each, the client apart, vs its cluster (rr)", "node-rondo-2", "node-cluster-rr"),
		vs("Node, kept connections, vs its cluster (rr)", "kept", "node-rondo-2", "node-cluster-rr").from(1),
		vs("the same, vs pm2", "kept", "node-rondo-2", "node-pm2"),
		vs("the same, vs alone (one process)", "kept", "node-rondo-2", "node"),
	}
}

func masterClaims() []claim {
	rss := claim{how: value, measure: "memory", metric: "most"}
	added := claim{how: difference, measure: "latency", base: "go", subject: "go-rondo-2"}
	list := []claim{
		{title: "master's CPU time per handoff vs its system calls (Go)", how: ratio, measure: "handoff", metric: "cpu",
			subject: "go-rondo-2", base: "raw", bound: atMost, target: 1.5},
		{title: "the same, 1 worker", how: ratio, measure: "handoff", metric: "cpu", subject: "go-rondo-1", base: "raw"},
		{title: "the same, Node", how: ratio, measure: "handoff", metric: "cpu", subject: "node-rondo-2", base: "raw"},
		{title: "the same, Go, vs system calls that end the connection", how: ratio, measure: "handoff", metric: "cpu",
			subject: "go-rondo-2", base: "raw-last"},
	}
	for _, of := range []struct{ name, title string }{{"go-rondo-2", "Go"}, {"node-rondo-2", "Node"}} {
		rss.title, rss.subject = "master's memory under any load ("+of.title+")", of.name
		list = append(list, rss.upTo(15))
	}
	for _, p := range []struct {
		metric, title string
		target        float64
	}{{"p50", "p50", 50}, {"p99", "p99", 300}, {"p999", "p99.9", 0}} {
		added.title, added.metric, added.bound, added.target = "latency added at half load, "+p.title, p.metric, none, 0
		as := added
		if p.target > 0 {
			as = as.upTo(p.target)
		}
		list = append(list, as)
		for _, policy := range []struct{ name, title string }{{"other", "master under SCHED_OTHER"}, {"unit-batch", "workers under SCHED_BATCH too"}} {
			with := added
			with.title, with.subject = "the same, "+policy.title, "go-rondo-2-"+policy.name
			list = append(list, with)
		}
	}
	return append(list,
		claim{title: "latency added at a tenth of the load, p50", how: difference, measure: "latency-light", metric: "p50", subject: "go-rondo-2", base: "go"},
		claim{title: "the same, p99", how: difference, measure: "latency-light", metric: "p99", subject: "go-rondo-2", base: "go"},
		claim{title: "the same, Node, p50", how: difference, measure: "latency-light", metric: "p50", subject: "node-rondo-2", base: "node"},
		claim{title: "the same, Node's cluster (rr), p50", how: difference, measure: "latency-light", metric: "p50", subject: "node-cluster-rr", base: "node"},
		claim{title: "latency added on kept connections, p99", how: difference, measure: "latency-kept", metric: "p99", subject: "go-rondo-2", base: "go"},
		claim{title: "wake-ups of the idle master", how: value, measure: "idle", metric: "wakeups", subject: "go-rondo-2", bound: atMost, target: 1},
	)
}

func scaleClaims() []claim {
	over := claim{how: difference, measure: "start", metric: "took"}
	list := []claim{
		{title: "cost per handoff, 256 workers vs 2", how: ratio, measure: "workers", metric: "cpu", subject: "go-rondo-256", base: "go-rondo-2", bound: atMost, target: 1.2},
		{title: "cost per handoff, 1000 sockets vs 1", how: ratio, measure: "sockets", metric: "cpu", subject: "go-rondo-2-sockets-1000", base: "go-rondo-2"},
	}
	for _, of := range []struct{ title, subject, base string }{
		{"exec to READY beyond the worker's own start (Go, 2 workers)", "go-rondo-2", "go"},
		{"the same, 1 worker", "go-rondo-1", "go"},
		{"the same, Node, 2 workers", "node-rondo-2", "node"},
	} {
		over.title, over.subject, over.base = of.title, of.subject, of.base
		list = append(list, over.upTo(20))
	}
	return append(list,
		claim{title: "cold activation beyond the app's own (Go)", how: difference, measure: "cold", metric: "took", subject: "go-rondo-2", base: "go"},
		claim{title: "the same, Node", how: difference, measure: "cold", metric: "took", subject: "node-rondo-2", base: "node"},
		claim{title: "a reload of 2 Go workers", how: value, measure: "reload", metric: "took", subject: "go-rondo-2"},
		claim{title: "worst latency meanwhile", how: value, measure: "reload", metric: "worst", subject: "go-rondo-2"},
		claim{title: "requests that failed meanwhile", how: value, measure: "reload", metric: "failed", subject: "go-rondo-2", bound: atMost},
		claim{title: "the same, 2 Node workers", how: value, measure: "reload", metric: "failed", subject: "node-rondo-2", bound: atMost},
		vs("one of two Go workers stuck, vs both at work", "stuck", "go-rondo-2-stuck", "go-rondo-2"),
		vs("the same, Node", "stuck", "node-rondo-2-stuck", "node-rondo-2"),
		vs("the same, Node's cluster (rr)", "stuck", "node-cluster-rr-stuck", "node-cluster-rr"),
	)
}
