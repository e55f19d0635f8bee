package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	roles["node-worker"] = nodeWorker
}

// nodeWorker is a program like any user's: it serves on TEST_ADDRESS until it is
// told to drain. GET /slow answers when GET /finish came; GET /drain leaves.
func nodeWorker() int {
	ctx := context.Background()
	w, err := Join(Config{WaitReady: true})
	if err != nil {
		return fail(err)
	}
	l, err := w.Listen(ctx, "tcp", os.Getenv("TEST_ADDRESS"))
	if errors.Is(err, syscall.EADDRINUSE) {
		return 98
	}
	if err != nil {
		return fail(err)
	}
	if _, err := w.Listen(ctx, "activation", "web"); !errors.Is(err, errors.ErrUnsupported) {
		return fail(fmt.Errorf("Listen(activation) under Node = %v, want ErrUnsupported", err))
	}
	if err := w.Ready(); err != nil {
		return fail(err)
	}
	finish := make(chan struct{})
	http.HandleFunc("/id", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, w.ID()) })
	http.HandleFunc("/drain", func(http.ResponseWriter, *http.Request) { w.Drain() })
	http.HandleFunc("/slow", func(rw http.ResponseWriter, _ *http.Request) {
		rw.(http.Flusher).Flush()
		<-finish
		fmt.Fprint(rw, w.ID())
	})
	go func() { // ends with the process
		<-w.Draining()
		close(finish)
	}()
	if err := Serve(ctx, w, &http.Server{}, l); err != nil {
		return fail(err)
	}
	leave, cancel := context.WithTimeout(ctx, guard)
	defer cancel()
	if err := w.Leave(leave); err != nil {
		return fail(err)
	}
	return 0
}

// primary is testdata/primary.js as a process.
type primary struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	events chan event
	early  []event // came before a test waited for them
}

type event struct {
	Event     string
	ID, Port  int
	Code      int
	Signal    string
	Voluntary bool
	Message   any
}

// startPrimary starts workers of address under Node. Without node it skips, but
// not in CI.
func startPrimary(t *testing.T, workers int, policy, address string) *primary {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no node in PATH")
		}
		t.Skip("no node in PATH: that a Go worker runs under Node's cluster primary was not checked")
	}
	p := &primary{t: t, events: make(chan event, 100)}
	p.cmd = exec.Command(node, "testdata/primary.js", os.Args[0], strconv.Itoa(workers), policy)
	p.cmd.Env = asRole("node-worker", "TEST_ADDRESS="+address)
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the last holder of the primary's stdout: it and its workers
		defer close(p.events)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				e.Event = lines.Text()
			}
			p.events <- e
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill() // its workers see the end of their channels
		for range p.events {
		}
		p.cmd.Wait()
	})
	return p
}

// wait gives the next event of a kind.
func (p *primary) wait(kind string) event {
	p.t.Helper()
	for i, e := range p.early {
		if e.Event == kind {
			p.early = append(p.early[:i], p.early[i+1:]...)
			return e
		}
	}
	timeout := time.After(guard)
	for {
		select {
		case e, ok := <-p.events:
			if !ok {
				p.t.Fatalf("the primary ended before %q", kind)
			}
			if e.Event == kind {
				return e
			}
			p.early = append(p.early, e)
		case <-timeout:
			p.t.Fatalf("no %q from the primary", kind)
		}
	}
}

// get asks over a connection of its own and gives the answer's body.
func get(t *testing.T, url string) string {
	t.Helper()
	body, err := tryGet(url)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func tryGet(url string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	r, err := (&http.Client{Transport: transport, Timeout: guard}).Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

func TestNodesPrimaryDistributesToGoWorkersAndDrainsThem(t *testing.T) {
	const workers = 3
	p := startPrimary(t, workers, "rr", "127.0.0.1:0")
	var port int
	for range workers {
		port = p.wait("listening").Port
	}
	for range workers {
		if got := p.wait("message").Message; got != "ready" {
			t.Fatalf("user message %v, want ready", got)
		}
	}
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	answered := map[string]int{}
	for range 4 * workers {
		answered[get(t, url+"/id")]++
	}
	if len(answered) != workers {
		t.Fatalf("answers by worker: %v, want all of %d workers", answered, workers)
	}

	slow, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	slow.SetDeadline(time.Now().Add(guard))
	io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
	r := bufio.NewReader(slow)
	head, err := http.ReadResponse(r, nil) // the request is in flight
	if err != nil {
		t.Fatal(err)
	}
	for id := 1; id <= workers; id++ {
		fmt.Fprintf(p.stdin, "disconnect %d\n", id)
	}
	body, err := io.ReadAll(head.Body)
	if err != nil || !strings.Contains("123", string(body)) {
		t.Fatalf("the request in flight got %q, %v", body, err)
	}
	for range workers {
		if e := p.wait("exit"); e.Code != 0 || e.Signal != "" || !e.Voluntary {
			t.Errorf("worker %d: code %d, signal %q, exitedAfterDisconnect %t; want 0, none, true", e.ID, e.Code, e.Signal, e.Voluntary)
		}
	}
}

func TestAGoWorkerLeavesNodesPrimaryOfItsOwnWill(t *testing.T) {
	p := startPrimary(t, 1, "rr", "127.0.0.1:0")
	get(t, fmt.Sprintf("http://127.0.0.1:%d/drain", p.wait("listening").Port))
	if e := p.wait("exit"); e.Code != 0 || !e.Voluntary {
		t.Fatalf("exit = %+v, want code 0 and exitedAfterDisconnect", e)
	}
}

func TestNodesPrimaryMayShareItsListener(t *testing.T) {
	p := startPrimary(t, 2, "none", "127.0.0.1:0")
	port := p.wait("listening").Port
	p.wait("listening")
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	if id := get(t, url+"/id"); id != "1" && id != "2" {
		t.Fatalf("answered by %q", id)
	}
	for id := 1; id <= 2; id++ {
		fmt.Fprintf(p.stdin, "disconnect %d\n", id)
	}
	for range 2 {
		if e := p.wait("exit"); e.Code != 0 {
			t.Fatalf("exit = %+v, want code 0", e)
		}
	}
}

func TestNodesErrnoIsTheErrorOfListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := startPrimary(t, 1, "rr", l.Addr().String())
	if e := p.wait("exit"); e.Code != 98 {
		t.Fatalf("exit = %+v, want 98: errors.Is(err, EADDRINUSE)", e)
	}
}

func TestGoWorkersDrainWhenNodesPrimaryDies(t *testing.T) {
	p := startPrimary(t, 1, "rr", "127.0.0.1:0")
	port := p.wait("listening").Port
	p.wait("message")
	peer, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	peer.SetDeadline(time.Now().Add(guard))
	io.WriteString(peer, "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
	head, err := http.ReadResponse(bufio.NewReader(peer), nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(p.stdin, "quit")
	if body, err := io.ReadAll(head.Body); err != nil || string(body) != "1" {
		t.Fatalf("the request in flight got %q, %v after the primary died", body, err)
	}
	for range p.events { // ends when the worker, which shares the primary's stdout, is gone
	}
}
