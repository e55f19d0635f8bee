package ledger

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// Handler returns a handler that answers as the protocol asks, in the name of
// who, and is as slow as a request asks it to be. It gives up a slow answer when
// the connection ends.
func Handler(who Who) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !linger(r, FirstByteHeader) {
			return
		}
		body := r.Header.Get(IDHeader) + "\n"
		h := w.Header()
		h.Set(IDHeader, r.Header.Get(IDHeader))
		h.Set(WorkerHeader, strconv.Itoa(who.Worker))
		h.Set(PIDHeader, strconv.Itoa(who.PID))
		h.Set(GenerationHeader, strconv.Itoa(who.Generation))
		h.Set("Content-Type", "text/plain")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Header.Get(BodyHeader) != "" {
			// All but the newline: head and id are out, the end is not.
			_, _ = io.WriteString(w, body[:len(body)-1]) // an error is the client's to see
			_ = http.NewResponseController(w).Flush()
			if !linger(r, BodyHeader) {
				return
			}
			body = body[len(body)-1:]
		}
		_, _ = io.WriteString(w, body)
	})
}

// linger waits as the header name asks. It reports false if the client left.
func linger(r *http.Request, name string) bool {
	ms, err := strconv.Atoi(r.Header.Get(name))
	if err != nil || ms <= 0 {
		return true // not asked to
	}
	t := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
