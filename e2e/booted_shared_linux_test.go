//go:build linux && !portable

package e2e

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/master"
)

// TestSharedSocketsOutliveTheMaster kills the master of workers that have the sockets
// themselves: they accept and answer on while there is none.
func TestSharedSocketsOutliveTheMaster(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("main process killed")
		h.Expect("killed result")
		h.expectFound()
		h.program(`const socket = require('dgram').createSocket('udp4');
socket.on('message', (text, from) => socket.send(process.pid + ' ' + text, from.port, from.address));
socket.bind(5353, '127.0.0.1');
` + ledgerServer(t, "8080"))
		h.install("--listen", "http@8080", "--listen", "dns@udp:127.0.0.1:5353", "--schedule", "http=none", "--workers", "2")
		if got := h.Must("grep", "Listen", "/etc/systemd/system/app-dns.socket"); got != "ListenDatagram=127.0.0.1:5353" {
			t.Errorf("the unit has %q", got)
		}
		dial := func() (net.Conn, error) { return h.Dial(context.Background(), "udp", "127.0.0.1:5353") }
		if _, err := oneDatagram(dial, "first"); err != nil { // which starts it
			t.Fatal(err)
		}
		h.started()
		before := h.status()
		for _, l := range before.Listeners {
			if l.Schedule != "none" || !l.Accepting {
				t.Errorf("listener %+v, want one that is shared", l)
			}
		}
		s := &survivor{host: h}
		s.pids = s.workers()
		requests := runLedger(t, ledger.Config{Clients: 4, Mode: ledger.PerRequest, Think: 4 * time.Millisecond, Seed: seed,
			Network: "tcp", Address: "127.0.0.1:8080", Dial: h.Dial, Overflows: h.Overflows})
		datagrams := exchange(t, 2, dial)
		kills := max(3, count(50))
		for i := range kills {
			was := h.status()
			_, after := s.kill(was)
			if after.Adopted != i+1 {
				t.Fatalf("adopted %d times after %d kills", after.Adopted, i+1)
			}
			s.same(fmt.Sprintf("kill %d", i+1))
		}
		h.Must("systemctl", "restart", "app")
		h.until("replaced", func(st master.Status) bool {
			return st.State == "ready" && len(st.Workers) == 2 && st.Generation > before.Generation
		})
		if _, err := oneDatagram(dial, "last"); err != nil {
			t.Error(err)
		}
		var now []string
		for _, w := range h.status().Workers {
			now = append(now, strconv.Itoa(w.PID))
		}
		if who, err := oneDatagram(dial, "of whom"); err != nil || !slices.Contains(now, who) {
			t.Errorf("after the restart %s answers, %v, want one of %v", who, err, now)
		}
		answered := 0
		for _, n := range datagrams() {
			answered += n
		}
		r := requests()
		if err := r.Check(); err != nil {
			t.Error(err)
		}
		t.Logf("%d kills and a restart: %d requests and %d datagrams, each answered", kills, r.Sent, answered)
	})
}
