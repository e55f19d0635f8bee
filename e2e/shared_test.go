package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/master"
	"github.com/rondokit/rondo/worker"
)

// datagramWorker answers each datagram on TEST_LISTEN with its process id and what it got.
func datagramWorker() int {
	w, err := worker.Join(worker.Config{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	conn, err := w.ListenPacket(context.Background(), "udp", os.Getenv("TEST_LISTEN"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { // ends with the drain
		<-w.Draining()
		conn.SetReadDeadline(time.Now())
	}()
	buf := make([]byte, 1<<10)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			break
		}
		if _, err := conn.WriteTo(fmt.Appendf(nil, "%d %s", os.Getpid(), buf[:n]), from); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	conn.Close()
	if err := w.Leave(context.Background()); err != nil {
		return 1
	}
	return 0
}

// exchange sends datagrams, each from a socket of its own and after the last was
// answered, until the returned function is called. That gives who answered how often;
// one that nobody answers fails the test.
func exchange(t *testing.T, clients int, dial func() (net.Conn, error)) (stop func() map[string]int) {
	t.Helper()
	answers := map[string]int{}
	var mu sync.Mutex // guards answers
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(all.Wait)
	t.Cleanup(cancel)
	for client := range clients {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				who, err := oneDatagram(dial, fmt.Sprintf("%d/%d", client, n))
				if err != nil {
					t.Errorf("datagram %d of client %d: %v", n, client, err)
					return
				}
				mu.Lock()
				answers[who]++
				mu.Unlock()
			}
		})
	}
	return func() map[string]int {
		cancel()
		all.Wait()
		return answers
	}
}

// oneDatagram sends text and gives who answered.
func oneDatagram(dial func() (net.Conn, error), text string) (who string, err error) {
	c, err := dial()
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(text)); err != nil {
		return "", err
	}
	buf := make([]byte, 1<<10)
	n, err := c.Read(buf)
	if err != nil {
		return "", err
	}
	who, echo, _ := strings.Cut(string(buf[:n]), " ")
	if echo != text {
		return "", fmt.Errorf("%q was answered with %q", text, buf[:n])
	}
	return who, nil
}

// passPacket opens a datagram socket and gives it as the init system would.
func passPacket(t *testing.T, address, name string) activation.Socket {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f, err := conn.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	return activation.Socket{Name: name, Kind: activation.UDP, Addr: conn.LocalAddr(), File: f}
}

// TestDatagramProgramsAreWorkers reloads programs that share a UDP socket while
// datagrams come: each is answered, and in the end by the new workers alone.
func TestDatagramProgramsAreWorkers(t *testing.T) {
	programs := map[string][]string{"go": append([]string{"env", roleVar + "=datagram"}, goCommand(t)...)}
	for _, release := range releases() {
		programs[fmt.Sprintf("node%d", release)] = []string{node(t, release), "testdata/udp.js"}
	}
	for name, command := range programs {
		for _, way := range []string{"passed", "mapped", "own"} {
			t.Run(name+"/"+way, func(t *testing.T) {
				before := takeCensus()
				cfg := master.Config{Settings: quick(command, 2)}
				port := 0
				if way != "own" {
					sock := passPacket(t, "127.0.0.1:0", "dns")
					cfg.Sockets, port = []activation.Socket{sock}, sock.Addr.(*net.UDPAddr).Port
				}
				if way == "mapped" {
					port = 5353
					cfg.Listen = []settings.Listen{{Kind: settings.KindFD, FD: "dns", Want: &settings.Want{Port: 5353}}}
				}
				listen := fmt.Sprintf(`{"address":"127.0.0.1","port":%d}`, port)
				if name == "go" {
					listen = fmt.Sprintf("127.0.0.1:%d", port)
				}
				cfg.Env = append([]string{"TEST_LISTEN=" + listen, "GORACE=atexit_sleep_ms=0"}, os.Environ()...)
				s := launch(t, cfg, before)
				s.await(func(e master.Event) bool { return e.Ready })
				st := s.status()
				if len(st.Listeners) != 1 || st.Listeners[0].Schedule != "none" || !st.Listeners[0].Accepting {
					t.Fatalf("listeners %+v, want one that is shared", st.Listeners)
				}
				address := strings.TrimPrefix(st.Listeners[0].Address, "udp:")
				dial := func() (net.Conn, error) { return net.Dial("udp", address) }
				stop := exchange(t, 4, dial)
				if err := s.Reload(t.Context()); err != nil {
					t.Error(err)
				}
				s.until("old workers gone", func(st master.Status) bool { return len(st.Workers) == 2 })
				if got := stop(); len(got) == 0 {
					t.Error("nobody answered")
				}
				var now []string
				for _, w := range s.status().Workers {
					now = append(now, strconv.Itoa(w.PID))
				}
				stop = exchange(t, 2, dial)
				for range 20 {
					if who, err := oneDatagram(dial, "after"); err != nil || !slices.Contains(now, who) {
						t.Errorf("after the reload %s answers, %v, want one of %v", who, err, now)
					}
				}
				stop()
			})
		}
	}
}

// TestReloadsOfEveryReleaseLoseNothing reloads under load, the master accepting or, as
// with Node's SCHED_NONE, the workers themselves.
func TestReloadsOfEveryReleaseLoseNothing(t *testing.T) {
	for _, schedule := range []settings.Schedule{"rr", "web=none"} {
		t.Run(string(schedule), func(t *testing.T) { reloadEveryRelease(t, schedule) })
	}
}

func reloadEveryRelease(t *testing.T, schedule settings.Schedule) {
	commands := map[string][]string{"go": goCommand(t)}
	for _, release := range releases() {
		commands[fmt.Sprintf("node%d", release)] = []string{node(t, release), "testdata/ledger.js"}
	}
	for name, command := range commands {
		t.Run(name, func(t *testing.T) {
			before := takeCensus()
			sock := passSocket(t, "tcp", "127.0.0.1:0", "web")
			cfg := master.Config{Settings: quick(command, 2), Sockets: []activation.Socket{sock}}
			cfg.Schedule = schedule
			listen := sock.Addr.String()
			if name != "go" {
				listen = strconv.Itoa(sock.Addr.(*net.TCPAddr).Port)
			}
			cfg.Env = append([]string{goRole, "TEST_LISTEN=" + listen, "GORACE=atexit_sleep_ms=0"}, os.Environ()...)
			s := launch(t, cfg, before)
			s.address = sock.Addr.String()
			s.await(func(e master.Event) bool { return e.Ready })
			stop := s.load(ledger.Config{Clients: 4, Mode: ledger.PerRequest, Seed: seed})
			for range 2 {
				if err := s.Reload(t.Context()); err != nil {
					t.Error(err)
				}
			}
			s.until("old workers gone", func(st master.Status) bool { return len(st.Workers) == 2 })
			r := stop()
			// A server of Node 26 that is told to leave closes what it has accepted itself and
			// not read a request from, whatever its primary does (nodejs/node#63470).
			if err := r.Check(); err != nil && !(name == "node26" && schedule != "rr") {
				t.Error(err)
			}
			t.Logf("%d requests, %d lost", r.Sent, r.Lost)
			st := s.status()
			if shared := schedule != "rr"; shared != (st.Counters.HandedOver == 0) || shared != (st.Listeners[0].Schedule == "none") {
				t.Errorf("the master handed over %d connections, status says schedule %s", st.Counters.HandedOver, st.Listeners[0].Schedule)
			}
		})
	}
}
