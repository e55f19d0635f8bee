package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/rondokit/rondo/internal/settings"
)

// A call is one thing that can be asked for. A nil result means {"ok":true}.
type call func(ctx context.Context, r *http.Request) (result any, err error)

// badRequest is an error of the caller's making.
type badRequest struct{ err error }

func (e badRequest) Error() string { return e.err.Error() }

// routes has every path; the calls get ctx, not the request's: a caller that
// goes away does not undo what it began.
func (s *Server) routes(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	add := func(method, path string, do call) {
		mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
			result, err := do(ctx, r)
			write(w, result, err)
		})
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", method)
			writeJSON(w, http.StatusMethodNotAllowed, answer{Error: fmt.Sprintf("%s is asked by %s, not by %s", r.URL.Path, method, printable(r.Method))})
		})
	}
	add("GET", "/v1/status", func(ctx context.Context, _ *http.Request) (any, error) { return s.Backend.Status(ctx) })
	add("POST", "/v1/reload", s.reload)
	add("POST", "/v1/stop", plain(s.Backend.Stop))
	add("POST", "/v1/upgrade", plain(s.Backend.Upgrade))
	add("POST", "/v1/leave", plain(s.Backend.Leave))
	add("POST", "/v1/scale", s.scale)
	add("POST", "/v1/workers/{id}/drain", worker(s.Backend.DrainWorker))
	add("POST", "/v1/workers/{id}/kill", worker(s.Backend.KillWorker))
	add("POST", "/v1/slots/{slot}/message", s.message)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, answer{Error: fmt.Sprintf("no such path: %s", printable(r.URL.Path))})
	})
	return mux
}

// plain is a call without anything to say.
func plain(do func(context.Context) error) call {
	return func(ctx context.Context, r *http.Request) (any, error) {
		if err := readBody(r, new(struct{})); err != nil {
			return nil, err
		}
		return nil, do(ctx)
	}
}

func worker(do func(context.Context, int) error) call {
	return func(ctx context.Context, r *http.Request) (any, error) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || id < 1 {
			return nil, badRequest{fmt.Errorf("%s is not a worker's id: see rondo status", printable(r.PathValue("id")))}
		}
		if err := readBody(r, new(struct{})); err != nil {
			return nil, err
		}
		return nil, do(ctx, id)
	}
}

func (s *Server) reload(ctx context.Context, r *http.Request) (any, error) {
	var request reloadRequest
	if err := readBody(r, &request); err != nil {
		return nil, err
	}
	if request.Managed {
		return nil, s.Backend.ManagedReload(ctx)
	}
	return nil, s.Backend.Reload(ctx)
}

func (s *Server) scale(ctx context.Context, r *http.Request) (any, error) {
	var request scaleRequest
	if err := readBody(r, &request); err != nil {
		return nil, err
	}
	if n := request.Workers; n < 1 || n > settings.MaxWorkers {
		return nil, badRequest{fmt.Errorf("workers: %d is not from 1 to %d", n, settings.MaxWorkers)}
	}
	return nil, s.Backend.Scale(ctx, request.Workers)
}

func (s *Server) message(ctx context.Context, r *http.Request) (any, error) {
	slot, err := strconv.Atoi(r.PathValue("slot"))
	if err != nil || slot < 0 {
		return nil, badRequest{fmt.Errorf("%s is not a slot: see rondo status", printable(r.PathValue("slot")))}
	}
	var request messageRequest
	if err := readBody(r, &request); err != nil {
		return nil, err
	}
	if request.Message == nil {
		return nil, badRequest{errors.New("message: there is none")}
	}
	return nil, s.Backend.Send(ctx, slot, request.Message)
}

// readBody reads a JSON object of known fields, or nothing, into v.
func readBody(r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil // nothing said
	}
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after it")
		}
	}
	if err != nil {
		return badRequest{fmt.Errorf("the request is not the JSON object it should be: %w", err)}
	}
	return nil
}

func write(w http.ResponseWriter, result any, err error) {
	if err != nil {
		writeJSON(w, statusOf(err), answer{Error: err.Error()})
		return
	}
	if result == nil {
		result = answer{OK: true}
	}
	writeJSON(w, http.StatusOK, result)
}

func statusOf(err error) int {
	if _, ok := errors.AsType[badRequest](err); ok {
		return http.StatusBadRequest
	}
	if _, ok := errors.AsType[busy](err); ok {
		return http.StatusConflict
	}
	if _, ok := errors.AsType[gone](err); ok {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// writeJSON answers. The time-out starts here, since a reload may have taken
// longer than any that is set before.
func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"error":"the answer is no JSON"}`)
	}
	// An error here means the caller went away, and Write says so again.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
}

// printable is text from a caller for a message, short and without tricks.
func printable(text string) string {
	return strconv.QuoteToASCII(text[:min(len(text), 64)])
}
