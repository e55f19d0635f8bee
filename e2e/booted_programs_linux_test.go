//go:build linux && !portable

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/master"
)

// npmProgram is a program on a package from npm, unmodified.
type npmProgram struct {
	name    string // of the package, as people write it
	of      string // the package
	file    string // in testdata/programs
	command []string
	tls     bool
	talk    func(net.Conn) (talker, error) // over what clients stay connected; nil: they ask by HTTP
	more    func(h *host)                  // what is asked of it alone
	besides string                         // what that is, or what else is to be known
	warns   []string                       // what it has the master say
	soak    bool                           // it takes too long for each run
}

func npmPrograms() []npmProgram {
	all := []npmProgram{
		{name: "Express", of: "express", file: "express.js"},
		{name: "Fastify", of: "fastify", file: "fastify.js", warns: []string{"localhost by IPv6 too", "localhost by IPv4 too"},
			besides: "it asks for each address of localhost: the first one is served, the others are refused, which it takes and the log tells (`host: '0.0.0.0'` asks once)"},
		{name: "Koa", of: "koa", file: "koa.js"},
		{name: "Hono", of: "hono", file: "hono.mjs"},
		{name: "NestJS", of: "@nestjs/core", file: "nest.mjs"},
		{name: "ws", of: "ws", file: "ws.js", talk: talkWebSocket, besides: "two connections stay from the start to the end"},
		{name: "socket.io", of: "socket.io", file: "socketio.js", talk: talkSocketIO, besides: "by WebSocket; two connections stay from the start to the end"},
		{name: "HTTPS", of: "node22", file: "https.js", tls: true, more: func(h *host) { resumes(h, "http/1.1") }, besides: "TLS sessions go on at the other worker"},
		{name: "HTTP/2", of: "node22", file: "http2.js", tls: true, more: func(h *host) { resumes(h, "h2") }, besides: "TLS sessions go on at the other worker; asked by HTTP/2, too"},
	}
	for i := range all {
		all[i].command = []string{"node", "--require", "./begun.js", all[i].file}
	}
	return append(all, npmProgram{name: "Next.js", of: "next", soak: true, besides: "its production server, of `next build`",
		command: []string{"node", "--require", "./begun.js", "/srv/next/node_modules/next/dist/bin/next", "start", "/srv/next", "--port", "3000"}})
}

// TestProgramsFromNPMAreWorkers runs each through its start, load, a reload and kills of
// the master.
func TestProgramsFromNPMAreWorkers(t *testing.T) {
	if testing.Short() {
		t.Skip("programs from npm are not run: -short")
	}
	suites := []machine.Suite{machine.Trixie}
	if soak {
		suites = machine.Suites()
	}
	var rows []string
	for _, p := range npmPrograms() {
		if p.soak && !soak {
			fmt.Printf("e2e: %s: %s is not run: it takes a soak\n", t.Name(), p.name)
			continue
		}
		for _, suite := range suites {
			t.Run(p.name+"/"+string(suite), func(t *testing.T) {
				h := bootHost(t, suite, p.bind(t))
				p.run(h)
				h.balanced()
				if suite == machine.Trixie {
					rows = append(rows, p.row(t))
				}
			})
		}
	}
	switch {
	case t.Failed() || len(rows) == 0:
	case len(rows) == len(npmPrograms()):
		document(t, "programs.md", programsIntroduction+strings.Join(rows, ""))
	default:
		documented(t, "programs.md", rows)
	}
}

const programsIntroduction = `# Programs from npm that were run under rondo

Each is written as the package's own documentation shows one, and knows nothing of rondo. It ran as two workers of a service on a booted
systemd, and went through all of this under load: HTTP clients of three kinds (a connection for each request, kept ones, slow answers), or
clients that stay connected and come and go. No request and no connection may be lost on the way; what a kill of the master may cost are connections
that it had accepted and not handed over yet, and the counters must tell of each (README.md).
This page is written by the test that ran them: ` + "`RONDO_SOAK=1 go test ./e2e -run TestProgramsFromNPMAreWorkers`" + `.

| program | of npm | the first connection starts it | a reload | two ` + "`kill -9`" + ` of the master | besides |
|---|---|---|---|---|---|
`

// row is what run has shown of p, when it has not failed.
func (p npmProgram) row(t *testing.T) string {
	of := fmt.Sprintf("%s %s", p.of, version(t, p.of))
	if p.of == "node22" {
		of = "Node " + version(t, p.of)
	}
	return fmt.Sprintf("| %s | %s | answered | nothing lost | the same workers go on, no connection of theirs cut | %s |\n", p.name, of, p.besides)
}

// bind is what p needs on its machine.
func (p npmProgram) bind(t *testing.T) map[string]string {
	if p.of == "next" {
		return map[string]string{"/usr/local/bin/node": node(t, 22), "/srv/next": next(t)}
	}
	return map[string]string{"/usr/local/bin/node": node(t, 22), "/srv/app/node_modules": npm(t)}
}

// run is what a page in docs tells of p.
func (p npmProgram) run(h *host) {
	h.t.Helper()
	h.Expect("main process killed")
	h.Expect("killed result")
	h.Allow("accepted ones lost")
	h.Allow("unsent ones lost")
	if p.of == "next" {
		h.expectFoundAs("workers of Next.js found")
	} else {
		h.expectFound()
	}
	for _, name := range p.warns {
		h.Expect(name)
	}
	if p.file != "" {
		h.Copy(filepath.Join("testdata/programs", p.file), "/srv/app/"+p.file)
	}
	h.Copy("testdata/begun.js", "/srv/app/begun.js")
	if p.tls {
		h.tls = h.certify()
	}
	h.WriteFile("/etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost\n") // as any machine has
	// Nobody who stays is cut, be it a kept connection that is busy when Node closes its server.
	flags := []string{"install", "--name", "app", "--listen", "8080=3000", "--workers", "2", "--drain-timeout", "120s", "--"}
	if out, err := h.rondo(append(flags, p.command...)...); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	s := &survivor{host: h, stops: map[string]func() ledger.Report{}}
	end := p.begin(s)
	h.started()
	if p.more != nil {
		p.more(h)
	}
	h.Must("systemctl", "reload", "app.service")
	for range 2 {
		before := h.status()
		_, after := s.kill(before)
		serve := serving(after)
		if was := serving(before); !slices.Equal(was, serve) || len(serve) != 2 {
			h.t.Errorf("after a kill the workers %v serve (their pids), before %v", serve, was)
		}
	}
	end()
}

// serving are the pids of those that are not to leave.
func serving(st master.Status) (pids []int) {
	for _, w := range st.Workers {
		if w.State == "ready" {
			pids = append(pids, w.PID)
		}
	}
	return pids
}

// begin connects to s the first time, which starts it, and goes on under load.
func (p npmProgram) begin(s *survivor) (end func()) {
	s.t.Helper()
	if p.talk == nil {
		s.get("tcp", "127.0.0.1:8080")
		s.load()
		return func() { s.endLosing(p.name) }
	}
	s.ask = func() {
		s.t.Helper()
		if err := s.talkTimes(s.t.Context(), p.talk, 1); err != nil {
			s.t.Fatal(err)
		}
	}
	s.ask()
	return s.talks(p)
}

// A talker is a connection that stays, over which a program echoes, and says who it is.
type talker interface {
	echo(text string) (who string, err error)
	Close() error
}

// errNew is of a connection that was not established: the first answer has not come.
var errNew = errors.New("a new connection got no answer")

// talkTimes has a connection for so many messages, or until ctx ends.
func (h *host) talkTimes(ctx context.Context, talk func(net.Conn) (talker, error), messages int) error {
	c, err := h.dial(context.WithoutCancel(ctx), "tcp", "127.0.0.1:8080")
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	with, err := talk(c)
	if err != nil {
		return fmt.Errorf("%w: %w", errNew, err)
	}
	first := ""
	for i := 0; i < messages && ctx.Err() == nil; i++ {
		who, err := with.echo(fmt.Sprintf("message %d", i))
		if err != nil {
			return fmt.Errorf("after %d messages: %w", i, err)
		}
		if i > 0 && who != first {
			return fmt.Errorf("message %d was answered by %s, those before by %s", i, who, first)
		}
		first = who
		time.Sleep(echoThink)
	}
	return nil
}

// talks keeps four clients at it that come and go, and two that stay.
func (s *survivor) talks(p npmProgram) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	var ended, lost atomic.Int64
	for i := range 6 {
		messages := 20
		if i >= 4 {
			messages = 1 << 30
		}
		clients.Go(func() {
			for ctx.Err() == nil {
				switch err := s.talkTimes(ctx, p.talk, messages); {
				case errors.Is(err, errNew): // which a kill of the master may cost
					lost.Add(1)
				case err != nil:
					s.t.Errorf("%s: a connection was cut: %v", p.name, err)
				default:
					ended.Add(1)
				}
			}
		})
	}
	return func() {
		s.t.Helper()
		cancel()
		clients.Wait()
		c := s.status().Counters
		if n := lost.Load(); n > int64(c.ClosedUndelivered+c.Ambiguous) {
			s.t.Errorf("%d new connections got no answer; the counters: %+v", n, c)
		}
		told(s.t, "%s: %d connections ended well, %d new ones were lost", p.name, ended.Load(), lost.Load())
	}
}

func talkWebSocket(c net.Conn) (talker, error) { return upgrade(c, "/") }

// socketIO is a connection of socket.io 4 by WebSocket alone (Engine.IO 4).
type socketIO struct {
	*webSocket
	asked int
}

func talkSocketIO(c net.Conn) (talker, error) {
	ws, err := upgrade(c, "/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	s := &socketIO{webSocket: ws}
	if _, err := s.next("0{"); err != nil { // it is open
		return nil, err
	}
	if err := s.write("40"); err != nil { // to the main namespace
		return nil, err
	}
	_, err = s.next("40{")
	return s, err
}

// next gives what comes after the prefix of the next packet, past pings.
func (s *socketIO) next(prefix string) (string, error) {
	for {
		op, text, err := s.read()
		if err != nil {
			return "", err
		}
		if text == "2" {
			if err := s.write("3"); err != nil {
				return "", err
			}
			continue
		}
		rest, is := strings.CutPrefix(text, prefix)
		if op != 1 || !is {
			return "", fmt.Errorf("frame %d %q, want a text that begins with %q", op, text, prefix)
		}
		return rest, nil
	}
}

func (s *socketIO) echo(text string) (who string, err error) {
	s.asked++
	if err := s.write(fmt.Sprintf(`42%d["echo",%q]`, s.asked, text)); err != nil {
		return "", err
	}
	answer, err := s.next(fmt.Sprintf("43%d", s.asked))
	if err != nil {
		return "", err
	}
	var said []string
	if err := json.Unmarshal([]byte(answer), &said); err != nil || len(said) != 1 {
		return "", fmt.Errorf("answer %q: %w", answer, err)
	}
	who, back, _ := strings.Cut(said[0], " ")
	if back != text {
		return "", fmt.Errorf("echo %q, want %q", back, text)
	}
	return who, nil
}

// certify gives the app a certificate, and its clients what they need.
func (h *host) certify() *tls.Config {
	h.t.Helper()
	for _, v := range surroundings(h.t) {
		for name, file := range map[string]string{"TEST_KEY=": "key.pem", "TEST_CERT=": "cert.pem"} {
			if text, is := strings.CutPrefix(v, name); is {
				h.WriteFile("/srv/app/"+file, 0o644, text)
			}
		}
	}
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}} // whoever it is, it is on this machine
}

// resumes fails the test unless a TLS session of one worker goes on at the other one.
func resumes(h *host, protocol string) {
	h.t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: protocol == "h2", DialContext: h.Dial,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
	client := http.Client{Transport: transport, Timeout: patience}
	workers := map[string]bool{}
	for i := 0; len(workers) < 2; i++ { // others ask, too: the turn is not always this one's
		r, err := client.Get("https://127.0.0.1:8080/")
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if err != nil || r.TLS.NegotiatedProtocol != protocol || i > 0 && !r.TLS.DidResume {
			h.t.Fatalf("answer %d, of %s: %v, protocol %q, resumed: %v", i, r.Header.Get(ledger.PIDHeader), err, r.TLS.NegotiatedProtocol, r.TLS.DidResume)
		}
		workers[r.Header.Get(ledger.PIDHeader)] = true
		transport.CloseIdleConnections()
	}
}

// next gives the directory of what next.sh builds.
func next(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("./next.sh").Output()
	if err != nil {
		need(t, "Next.js and its program", err)
	}
	return strings.TrimSpace(string(out))
}

// version of an installed package.
func version(t *testing.T, of string) string {
	t.Helper()
	modules := npm(t)
	if of == "next" {
		modules = filepath.Join(next(t), "node_modules")
	}
	text, err := os.ReadFile(filepath.Join(modules, of, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Version string }
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p.Version
}
