// Package load sends requests: in a closed loop by wrk, at a constant rate by
// vegeta's library, and a single one by itself.
package load

// Connections says how long a client keeps its connections.
type Connections string

const (
	PerRequest Connections = "a connection per request"
	Kept       Connections = "kept connections"
)

// closeHeader has the server end the connection after its answer.
const closeHeader = "Connection: close"
