package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// What a caller may take, so that a slow or hostile one cannot hold the socket.
// Callers are our own user and root: this is against accidents more than attacks.
const (
	maxConnections = 64               // more wait in the kernel
	maxHeader      = 4 << 10          // bytes; net/http adds as many again
	maxBody        = 32 << 10         // bytes; the longest user message has half of it
	requestTimeout = 5 * time.Second  // to send a whole request
	answerTimeout  = 10 * time.Second // to take a whole answer, once there is one
	lastAnswers    = time.Second      // to take the answers that are due when Run ends
)

// Server answers on the control socket. Its fields are set before Run.
type Server struct {
	Listener *Listener    // taken: closed when Run returns
	Backend  Backend      // asked from one goroutine per connection
	Logger   *slog.Logger // takes what has no caller to be told; nil discards it

	patience time.Duration // requestTimeout where 0; a test waits less
}

// Run answers until ctx ends, then lets the answers that are due go out and
// returns nil. It returns after every call of the Backend has returned: those
// get a ctx that ends with this one.
func (s *Server) Run(ctx context.Context) error {
	logger := s.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if s.patience == 0 {
		s.patience = requestTimeout
	}
	calls, endCalls := context.WithCancel(context.WithoutCancel(ctx))
	var busy sync.WaitGroup
	handler := s.routes(calls)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			busy.Add(1)
			defer busy.Done()
			handler.ServeHTTP(w, r)
		}),
		ReadTimeout:    s.patience,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false) // a connection is one request, and gone
	limited := newGate(s.Listener)

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(limited) }() // ended by Shutdown, below
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
		err = fmt.Errorf("control socket: %w", err)
		ended <- nil
	}
	endCalls()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
	defer cancel()
	if server.Shutdown(last) != nil {
		server.Close()
	}
	<-ended
	busy.Wait()
	return errors.Join(err, s.Listener.Close())
}
