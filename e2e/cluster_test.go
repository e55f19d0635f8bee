package e2e

import (
	"bufio"
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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/master"
	"golang.org/x/sys/unix"
)

// clusterPrograms are what Node's own tests of its cluster (test/parallel/test-cluster-*)
// ask of a primary, as programs that know of no primary. Each runs as workers of Node's
// cluster and of rondo, and must find the same.
var clusterPrograms = []struct {
	name    string
	program string
	workers int
	env     []string
	differs map[string]string // what is ours, and not Node's, and why
}{
	{name: "addresses", program: "listen.js", workers: 1},
	{name: "one after the other", program: "again.js", workers: 1},
	{name: "paths", program: "paths.js", workers: 2, differs: map[string]string{
		"modes: readableAll":                  "as Node 18 and 20: bits are added; later ones take the owner's own away",
		"modes: writableAll":                  "likewise",
		"modes: both":                         "likewise",
		"a relative path in a deep directory": "it is served: Node binds a path that was cut, or fails",
	}},
	{name: "datagram sockets", program: "dgram.js", workers: 1},
	{name: "limits", program: "limits.js", workers: 1},
	{name: "session tickets", program: "tickets.js", workers: 3},
	{name: "disconnect", program: "leave.js", workers: 1, env: []string{"TEST_WAY=disconnect"}},
	{name: "kill", program: "leave.js", workers: 1, env: []string{"TEST_WAY=kill"}},
}

func TestProgramsFindWhatNodesClusterGivesThem(t *testing.T) {
	for _, release := range releases() {
		for _, row := range clusterPrograms {
			t.Run(fmt.Sprintf("node%d/%s", release, row.name), func(t *testing.T) {
				exe := node(t, release)
				program := filepath.Join("testdata/cluster", row.program)
				env := append(append(os.Environ(), row.env...), surroundings(t)...)
				node := found(t, row.workers, func(facts []string) (stop func()) {
					return underNode(t, exe, program, row.workers, append(env, facts...))
				})
				ours := found(t, row.workers, func(facts []string) (stop func()) {
					cfg := master.Config{Settings: quick([]string{exe, program}, row.workers), Env: append(env, facts...)}
					s := launch(t, cfg, takeCensus())
					return func() {
						if err := s.stop(); err != nil {
							t.Errorf("Run: %v", err)
						}
					}
				})
				compareFacts(t, node, ours, row.differs)
			})
		}
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
		if _, ok := node[what]; !ok {
			t.Errorf("%s: %s, of which Node's cluster knows nothing", what, fact)
		}
	}
	if len(node) == 0 {
		t.Error("nothing was found")
	}
}

// underNode runs a program as workers of Node's cluster.
func underNode(t *testing.T, exe, program string, workers int, env []string) (stop func()) {
	t.Helper()
	absolute, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "testdata/cluster/primary.js", absolute, strconv.Itoa(workers))
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
		case !begun[line.PID] && len(begun) == workers:
			continue // of the successor of one that has left
		case line.Done:
			done++
		default:
			all[line.What] = append(all[line.What], string(line.Fact))
		}
		begun[line.PID] = true
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
