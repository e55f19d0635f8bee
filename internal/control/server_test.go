package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEveryCallReachesTheMaster(t *testing.T) {
	b := new(backend)
	path := socketPath(t, shortDir(t))
	serve(t, path, &Server{Backend: b})
	c, ctx := At(path), t.Context()
	var who identity
	err := errors.Join(c.Status(ctx, &who), c.Reload(ctx), c.ManagedReload(ctx), c.Scale(ctx, 7), c.DrainWorker(ctx, 3), c.KillWorker(ctx, 4), c.Upgrade(ctx), c.Leave(ctx), c.Send(ctx, 2, json.RawMessage(`{"a":1}`)), c.Stop(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if want := "status reload managed scale7 drain3 kill4 upgrade leave send2{\"a\":1} stop"; b.got() != want || who.Name != "app" {
		t.Errorf("the master got %q and is %q, want %q and app", b.got(), who.Name, want)
	}
}

func TestAWrongRequestGetsAClearAnswer(t *testing.T) {
	path := socketPath(t, shortDir(t))
	b := new(backend)
	serve(t, path, &Server{Backend: b})
	for _, row := range []struct {
		method, url, body string
		code              int
		want              string
	}{
		{"GET", "/", "", 404, `no such path: "/"`},
		{"GET", "/v1/nothing", "", 404, `no such path: "/v1/nothing"`},
		{"GET", "/v1/" + strings.Repeat("x", 1000), "", 404, "no such path"},
		{"GET", "/v1/reload", "", 405, `/v1/reload is asked by POST, not by "GET"`},
		{"POST", "/v1/status", "", 405, `/v1/status is asked by GET, not by "POST"`},
		{"POST", "/v1/workers/x/kill", "", 400, `"x" is not a worker's id`},
		{"POST", "/v1/workers/0/drain", "", 400, `"0" is not a worker's id`},
		{"POST", "/v1/workers/-1/drain", "", 400, `"-1" is not a worker's id`},
		{"POST", "/v1/workers/1/dance", "", 404, "no such path"},
		{"POST", "/v1/scale", "", 400, "workers: 0 is not from 1 to 1000"},
		{"POST", "/v1/scale", `{"workers": 1001}`, 400, "workers: 1001 is not from 1 to 1000"},
		{"POST", "/v1/scale", `{"workers": "4"}`, 400, "not the JSON object"},
		{"POST", "/v1/scale", `{"wrokers": 4}`, 400, `unknown field "wrokers"`},
		{"POST", "/v1/scale", `{"workers": 4} {}`, 400, "there is more after it"},
		{"POST", "/v1/scale", `[`, 400, "not the JSON object"},
		{"POST", "/v1/scale", `{"workers": ` + strings.Repeat(" ", maxBody) + `4}`, 400, "too large"},
		{"POST", "/v1/reload", `{"force": true}`, 400, `unknown field "force"`},
		{"POST", "/v1/leave", `{"now": true}`, 400, `unknown field "now"`},
		{"GET", "/v1/leave", "", 405, "/v1/leave is asked by POST"},
		{"POST", "/v1/slots/x/message", `{"message": 1}`, 400, `"x" is not a slot`},
		{"POST", "/v1/slots/-1/message", `{"message": 1}`, 400, `"-1" is not a slot`},
		{"POST", "/v1/slots/0/message", "", 400, "message: there is none"},
		{"POST", "/v1/stop", `true`, 400, "not the JSON object"},
	} {
		code, a := ask(t, path, row.method, row.url, row.body)
		if code != row.code || !strings.Contains(a.Error, row.want) {
			t.Errorf("%s %.40s %.40s = %d %q, want %d with %q", row.method, row.url, row.body, code, a.Error, row.code, row.want)
		}
	}
	if b.got() != "" {
		t.Errorf("the master got %q, want nothing", b.got())
	}
}

func TestTheMastersErrorReachesTheCaller(t *testing.T) {
	for code, failure := range map[int]error{
		http.StatusConflict:            fmt.Errorf("app: %w", Busy(errors.New("another reload runs"))),
		http.StatusInternalServerError: errors.New("generation 2: worker 3\nexited"),
	} {
		path := socketPath(t, shortDir(t))
		serve(t, path, &Server{Backend: &backend{err: failure}})
		if got, a := ask(t, path, "POST", "/v1/reload", "{}"); got != code || a.Error != failure.Error() {
			t.Errorf("a reload that fails by %v = %d %q, want %d", failure, got, a.Error, code)
		}
		want := strings.ReplaceAll(failure.Error(), "\n", " ")
		if err := At(path).Reload(t.Context()); !Refused(err) || err.Error() != want {
			t.Errorf("Reload = %v, want to be refused by %s", err, want)
		}
	}
}

func TestAReloadOutlivesItsCallerAndItsTimeout(t *testing.T) {
	b := &backend{begun: make(chan struct{}, 2), reload: make(chan struct{}), ended: make(chan struct{}, 2)}
	path := socketPath(t, shortDir(t))
	serve(t, path, &Server{Backend: b, patience: 100 * time.Millisecond})
	gone, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() { left <- At(path).Reload(gone) }() // ended by leave
	<-b.begun
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("Reload by a caller that leaves = %v, want %v", err, context.Canceled)
	}
	go func() { stayed <- At(path).Reload(context.Background()) }() // ended by the reload
	<-b.begun
	// A connection that comes later and says nothing is closed when its time is
	// over, and so the reload's is.
	if _, err := io.ReadAll(dial(t, path)); err != nil {
		t.Fatal(err)
	}
	b.reload <- struct{}{}
	b.reload <- struct{}{}
	if err := <-stayed; err != nil {
		t.Errorf("Reload that takes longer than a request may = %v", err)
	}
	<-b.ended
	<-b.ended // nobody but the backend learns of the end of the one whose caller left
	if got := b.got(); got != "reload reload" {
		t.Errorf("the master got %q, want both reloads to their end", got)
	}
}

func TestTheEndOfTheServerEndsAReload(t *testing.T) {
	b := &backend{begun: make(chan struct{}, 1), reload: make(chan struct{}), ended: make(chan struct{}, 1)}
	path := socketPath(t, shortDir(t))
	stop := serve(t, path, &Server{Backend: b})
	done := make(chan error, 1)
	go func() { done <- At(path).Reload(context.Background()) }() // ended by stop
	<-b.begun
	stop()
	if err := <-done; err == nil {
		t.Error("Reload = nil, want an error when the master ends first")
	}
	if err := At(path).Reload(t.Context()); err == nil || Refused(err) {
		t.Errorf("Reload where no master is = %v, and refused", err)
	}
}

func TestSlowCallersDoNotKeepOthersOut(t *testing.T) {
	path := socketPath(t, shortDir(t))
	serve(t, path, &Server{Backend: new(backend), patience: 100 * time.Millisecond})
	for range maxConnections + 8 {
		fmt.Fprint(dial(t, path), "POST /v1/scale HTTP/1.1\r\nHost: x\r\nContent-Le")
	}
	if err := At(path).Status(t.Context(), new(identity)); err != nil {
		t.Errorf("Status behind %d callers that say nothing = %v", maxConnections+8, err)
	}
	conn := dial(t, path)
	fmt.Fprintf(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<16))
	if text, _ := io.ReadAll(conn); !strings.HasPrefix(string(text), "HTTP/1.1 431") {
		t.Errorf("endless headers got %.60q, want 431", text)
	}
}
