//go:build linux && !portable

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
)

// Eight workers drain one after the other, each until its last answer is out.
func TestLongReloadFinishesUnderSystemd(t *testing.T) {
	const workers = 8
	each := 1500 * time.Millisecond
	if soak {
		each = 43 * time.Second // five minutes: the reload does not wait for the last one
	}
	took := workers * each
	onBooted(t, func(t *testing.T, h *host) {
		// A request that is none of the ledger's is answered when as many workers as
		// its own number could have drained.
		h.program(strings.Replace(ledgerServer(t, "3000"), "const wait =", fmt.Sprintf(`if (!id) {
    setTimeout(() => res.end(who['X-Rondo-Worker']), who['X-Rondo-Worker'] * %d);
    return;
  }
  const wait =`, each.Milliseconds()), 1))
		h.install("--listen", "8080=3000", "--workers", fmt.Sprint(workers), "--max-draining", "1", "--drain-timeout", "60s")
		const limit = 5 * time.Second
		h.WriteFile("/etc/systemd/system/app.service.d/limit.conf", 0o644, fmt.Sprintf("[Service]\nTimeoutStartSec=%s\n", limit))
		h.Must("systemctl", "daemon-reload")
		h.Must("systemctl", "start", "app.service")
		var held []<-chan answer
		for range workers {
			held = append(held, h.connectFor(took+patience, "tcp", "127.0.0.1:8080"))
		}
		stop := h.loads()
		start := time.Now()
		_, err := h.RunIn(machine.Command{Args: []string{"systemctl", "reload", "app.service"}, Limit: took + patience})
		reload := time.Since(start)
		if err != nil {
			t.Errorf("after %v: %v", reload, err)
		}
		if reload < limit || reload < took-2*each {
			t.Errorf("the reload took %v: it proves nothing", reload)
		}
		answered := make(map[string]int)
		for _, got := range held {
			a := <-got
			if a.err != nil {
				t.Error(a.err)
			}
			answered[a.text]++
		}
		if len(answered) != workers {
			t.Errorf("answers by worker: %v, want one of each of %d", answered, workers)
		}
		sum := stop()
		if st := h.status(); st.Generation != 2 || st.Reload == nil || st.Reload.State != "done" || st.Reload.Cut != 0 {
			t.Errorf("status %+v, reload %+v", st, st.Reload)
		}
		h.is("app.service", "active")
		told(t, "a reload of %v, where TimeoutStartSec= is %v: %d requests, %d answered, %d lost",
			reload.Round(time.Second/10), limit, sum.Requests, sum.Answered, sum.Lost)
	})
}
