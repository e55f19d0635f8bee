package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/master"
	"golang.org/x/sys/unix"
)

// A scenario is a program that knows of no primary, and asks of its own what Node's tests
// of the cluster module (test/parallel/test-cluster-*) ask.
type scenario struct {
	name    string // up to its colon the title of the table, if it has one
	program string
	covers  string // those tests
	workers int
	env     []string
	none    bool              // under SCHED_NONE
	ends    string            // the primary tells under that name how the worker ended
	differs map[string]string // what is ours, and not Node's, and why
}

const (
	nodeFails = "Node 22 and later use a key twice, and their worker ends itself with an assertion"
	bitsAdded = "bits are added, as Node 18 and 20 do; later ones take the owner's own away"
)

// scenarios run as workers of Node's cluster and of rondo, and must find the same.
func scenarios() []scenario {
	all := []scenario{
		{name: "Addresses", program: "listen.js", workers: 1, covers: "listening-port, eaddrinuse, bind-twice, net-listen, net-listen-ipv6only-false, net-listen-ipv6only-rr"},
		{name: "Addresses, SCHED_NONE", program: "listen.js", workers: 1, none: true, covers: "shared-handle-bind-error, net-listen-ipv6only-none"},
		{name: "One server after the other", program: "again.js", workers: 1, covers: "child-index-net, server-restart-rr, worker-handle-close, port-reuse-between-workers, listen-twice-same-port"},
		{name: "One server after the other, SCHED_NONE", program: "again.js", workers: 1, none: true, covers: "server-restart-none, disconnect-leak, shared-leak", differs: map[string]string{
			"one that was closed can be opened again":   "Node 22 and later use a key twice here, and their worker ends itself with an assertion",
			"the other one was there all the time":      "likewise",
			"a closed one is closed once":               "likewise",
			"the worker fails: its code and its signal": "likewise",
		}},
		{name: "Servers closed in the wrong moment", program: "races.js", workers: 1, covers: "call-and-destroy, disconnect-race, net-reuseport"},
		{name: "Unix sockets", program: "paths.js", workers: 2, covers: "http-pipe, net-listen-relative-path, listen-pipe-readable-writable", differs: map[string]string{
			"modes: readableAll":                  bitsAdded,
			"modes: writableAll":                  bitsAdded,
			"modes: both":                         bitsAdded,
			"a relative path in a deep directory": "it is served: Node binds a path that was cut, or fails",
		}},
		{name: "Datagram sockets", program: "dgram.js", workers: 1, covers: "dgram-1, dgram-2, dgram-reuse, child-index-dgram, test-dgram-cluster-bind-error"},
		{name: "Datagram sockets, more of them", program: "dgram-more.js", workers: 1, covers: "dgram-ipv6only, dgram-reuseport, test-dgram-cluster-close-during-bind, test-dgram-cluster-close-in-listening, test-dgram-exclusive-implicit-bind"},
		{name: "Limits", program: "limits.js", workers: 1, covers: "net-server-drop-connection, test-net-server-drop-connections-in-cluster"},
		{name: "TLS session tickets", program: "tickets.js", workers: 3, covers: "test-tls-ticket-cluster"},
		{name: "Messages", program: "messages.js", workers: 1, covers: "basic, message, worker-init, worker-isconnected, worker-isdead, net-send, send-deadlock, send-handle-twice, send-socket-to-worker-http-server, send-handle-large-payload, test-child-process-fork-net-socket, test-child-process-fork-net-server, test-child-process-fork-getconnections"},
		{name: "Sockets of a worker alone", program: "unshared.js", workers: 1, covers: "disconnect-unshared-tcp, disconnect-unshared-udp"},
		{name: "A server that is unref'd", program: "unref.js", workers: 1, covers: "rr-ref, rr-handle-keep-loop-alive, rr-domain-listen"},
		{name: "A worker that leaves while a connection is open", program: "held.js", workers: 1, covers: "worker-wait-server-close"},
	}
	for _, way := range []string{"disconnect", "kill", "process.disconnect"} {
		all = append(all, scenario{name: "A worker that leaves by " + way + "()", program: "leave.js", workers: 1, env: []string{"TEST_WAY=" + way},
			covers: "disconnect, disconnect-before-exit, disconnect-idle-worker, disconnect-exitedAfterDisconnect-race, process-disconnect, worker-disconnect, kill-disconnect, worker-events"})
	}
	all = append(all,
		scenario{name: "Four workers that leave at once", program: "leave.js", workers: 4, env: []string{"TEST_WAY=disconnect"}, covers: "concurrent-disconnect"},
		scenario{name: "A worker that leaves by disconnect(), SCHED_NONE", program: "leave.js", workers: 1, none: true, env: []string{"TEST_WAY=disconnect"}, covers: "disconnect"})
	for _, way := range []string{"process.exit(3)", "an exception", "a rejected promise", "SIGTERM", "SIGKILL", "process.disconnect()", "worker.disconnect()",
		"worker.kill()", "worker.destroy()", "an error while it disconnects"} {
		all = append(all, scenario{name: "How a worker ends, its code and its signal: " + way, program: "exits.js", workers: 1, ends: way, env: []string{"TEST_WAY=" + way, "TEST_ENDS=" + way},
			covers: "worker-exit, worker-death, worker-forced-exit, worker-no-exit, worker-kill, worker-kill-signal, worker-destroy, worker-disconnect-on-error, uncaught-exception"})
	}
	return all
}

func TestProgramsFindWhatNodesClusterGivesThem(t *testing.T) {
	page := clusterPage{}
	for _, release := range releases() {
		for i, row := range scenarios() {
			t.Run(fmt.Sprintf("node%d/%s", release, row.name), func(t *testing.T) {
				exe := node(t, release)
				program := filepath.Join("testdata/cluster", row.program)
				env := append(append(os.Environ(), row.env...), surroundings(t)...)
				node := found(t, row.workers, func(facts []string) (stop func()) { return underNode(t, exe, program, row, append(env, facts...)) })
				ours := found(t, row.workers, func(facts []string) (stop func()) { return underRondo(t, exe, program, row, append(env, facts...)) })
				compareFacts(t, node, ours, row.differs)
				page.enter(i, release, node, ours)
			})
		}
	}
	if !t.Failed() && page.whole() {
		document(t, "node-cluster.md", page.text())
	}
}

// compareFacts fails the test unless rondo's workers found what Node's did, but for what
// differs.
func compareFacts(t *testing.T, node, ours, differs map[string]string) {
	t.Helper()
	for what, fact := range node {
		if ours[what] != fact && differs[what] == "" {
			t.Errorf("%s\n in Node's cluster: %s\n      under rondo: %s", what, fact, ours[what])
		}
	}
	for what, fact := range ours {
		if _, ok := node[what]; !ok && differs[what] == "" {
			t.Errorf("%s: %s, of which Node's cluster knows nothing", what, fact)
		}
	}
	if len(node) == 0 {
		t.Error("nothing was found")
	}
}

// underRondo runs a program as workers of a master in this process, which sends back what
// they say.
func underRondo(t *testing.T, exe, program string, row scenario, env []string) (stop func()) {
	t.Helper()
	said := make(chan master.Message, 100)
	cfg := master.Config{Settings: quick([]string{exe, program}, row.workers), Env: env, Message: func(m master.Message) { said <- m }}
	if row.none {
		cfg.Schedule = "none"
	}
	s := launch(t, cfg, takeCensus())
	over := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() {
		for {
			select {
			case m := <-said:
				if len(m.Body) < 10_000 {
					s.Send(t.Context(), m.Slot, m.Body)
				}
			case <-over:
				return
			}
		}
	})
	if row.ends != "" {
		s.await(func(e master.Event) bool { return e.Ready })
		if err := s.Send(t.Context(), 0, json.RawMessage(`"end"`)); err != nil {
			t.Fatal(err)
		}
		helpers.Go(func() { tellEnd(s, row.ends, env, over) })
	}
	return func() {
		close(over)
		helpers.Wait()
		if err := s.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// tellEnd does what testdata/cluster/primary.js does when a worker has ended.
func tellEnd(s *service, what string, env []string, over <-chan struct{}) {
	for {
		st, err := s.Status(context.Background())
		if err != nil {
			return
		}
		for _, w := range st.Workers {
			if w.LastExit == nil || w.LastExit.Code == nil && w.LastExit.Signal == nil { // not at its end yet
				continue
			}
			end, _ := json.Marshal([]any{w.LastExit.Code, w.LastExit.Signal})
			tell(env, fmt.Sprintf(`{"what":%q,"fact":%s}`, what, end), `{"done":true}`)
			return
		}
		select {
		case <-over:
			return
		default:
			runtime.Gosched()
		}
	}
}

// tell writes lines to the FIFO that env names.
func tell(env []string, lines ...string) {
	for _, v := range env {
		if name, ok := strings.CutPrefix(v, "TEST_FACTS="); ok {
			if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
				fmt.Fprintln(f, strings.Join(lines, "\n"))
				f.Close()
			}
		}
	}
}

// underNode runs a program as workers of Node's cluster.
func underNode(t *testing.T, exe, program string, row scenario, env []string) (stop func()) {
	t.Helper()
	absolute, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "testdata/cluster/primary.js", absolute, strconv.Itoa(row.workers))
	if row.none {
		env = append(env, "NODE_CLUSTER_SCHED_POLICY=none")
	}
	cmd.Env, cmd.Stdout, cmd.Stderr = env, t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // workers too
		cmd.Wait()
	}
}

// found starts workers and gives what the first ones found, by what it is about; of
// several workers all that they found, in order.
func found(t *testing.T, workers int, start func(env []string) (stop func())) map[string]string {
	t.Helper()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "facts")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0) // open for writing too: it does not end when a worker does
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.SetReadDeadline(time.Now().Add(patience))
	stop := start([]string{"TEST_FACTS=" + fifo, "TEST_DIR=" + dir})
	defer stop()
	all, begun, done := map[string][]string{}, map[int]bool{}, 0
	for lines := bufio.NewReader(f); done < workers; {
		text, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("after %v: %v", all, err)
		}
		var line struct {
			PID  int
			Done bool
			What string
			Fact json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		switch {
		case line.PID != 0 && !begun[line.PID] && len(begun) == workers:
			continue // of the successor of one that has left
		case line.Done:
			done++
		default:
			all[line.What] = append(all[line.What], string(line.Fact))
		}
		if line.PID != 0 { // not the primary's
			begun[line.PID] = true
		}
	}
	return joined(all)
}

// joined gives all facts about one thing as a text. Of those that only should be the
// same for all workers it tells how many there are.
func joined(all map[string][]string) map[string]string {
	texts := map[string]string{}
	for what, facts := range all {
		slices.Sort(facts)
		if what == "same" {
			facts = []string{strconv.Itoa(len(slices.Compact(facts)))}
		}
		texts[what] = strings.Join(facts, "; ")
	}
	return texts
}

// surroundings has ports that others have, one that is free, and a certificate.
func surroundings(t *testing.T) (env []string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	port := func(a net.Addr) string { _, p, _ := net.SplitHostPort(a.String()); return p }
	return []string{
		"TEST_TAKEN=" + port(ln.Addr()), "TEST_TAKEN_UDP=" + port(conn.LocalAddr()), "TEST_PORT=" + port(free.Addr()),
		"TEST_KEY=" + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
		"TEST_CERT=" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
	}
}
