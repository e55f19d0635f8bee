package master

// Status is what `rondo status --json` prints and GET /v1/status answers. Fields
// are only ever added; what is unknown is null.
type Status struct {
	Version    string     `json:"version"`
	Name       string     `json:"name"`
	PID        int        `json:"pid"`
	Generation int        `json:"generation"`
	State      string     `json:"state"`   // starting, ready, reloading, draining
	Adopted    int        `json:"adopted"` // how many masters these workers had before
	Refused    *string    `json:"refused"` // what the last master left and this one did not take over, and why
	ScaledFrom *int       `json:"scaled_from"`
	Reload     *Reload    `json:"reload"`
	Listeners  []Listener `json:"listeners"`
	Counters   Counters   `json:"counters"`
	Workers    []Worker   `json:"workers"`
}

// Reload tells of the reload in progress, or of the last one.
type Reload struct {
	State string  `json:"state"` // running, done, failed
	Error *string `json:"error"`
	Cut   int     `json:"cut"` // workers of the replaced generation that drain-timeout ended
	Ended *string `json:"ended"`
}

// Listener is one listening socket that the master holds.
type Listener struct {
	Name      string `json:"name"`
	Key       string `json:"key"`
	Address   string `json:"address"`
	Passed    bool   `json:"passed"`    // by the init system; else the master bound it
	Asked     bool   `json:"asked"`     // a worker has asked for it; else nobody ever serves it
	Schedule  string `json:"schedule"`  // rr: the master accepts; none: workers have the socket, and do
	Accepting bool   `json:"accepting"` // a worker has room, or the socket itself; else what comes waits in the kernel
	Waiting   int    `json:"waiting"`   // accepted, and held by the master for want of a worker
}

// Counters count connections since the master started.
type Counters struct {
	HandedOver        uint64 `json:"handed_over"`
	Redistributed     uint64 `json:"redistributed"`
	Ambiguous         uint64 `json:"ambiguous"`
	ClosedUndelivered uint64 `json:"closed_undelivered"`
}

// Worker is one worker process; or a slot that waits to start its next one, which is
// "exited", wanted "up", and has no id and no pid.
type Worker struct {
	ID         int     `json:"id"`
	Slot       int     `json:"slot"`
	PID        int     `json:"pid"`
	Generation int     `json:"generation"`
	State      string  `json:"state"`
	Want       string  `json:"want"`
	AgeS       float64 `json:"age_s"`
	HandedOver uint64  `json:"handed_over"`
	InFlight   int     `json:"in_flight"`
	Restarts   int     `json:"restarts"` // of this worker's slot
	LastExit   *Exit   `json:"last_exit"`

	// Opened are sockets that the worker listens on and that the master knows nothing
	// of: bound by itself (exclusive, reusePort), so a reload does not keep them open.
	Opened []string `json:"opened"`
}

// Exit tells how the previous worker of a slot ended.
type Exit struct {
	Code   *int    `json:"code"`
	Signal *string `json:"signal"`
	Reason string  `json:"reason"`
}
