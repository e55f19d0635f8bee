//go:build linux && !portable

package e2e

import (
	"os"
	"regexp"
	"testing"

	"github.com/rondokit/rondo/master"
)

// What a worker binds itself (exclusive) no message ever tells the master, so whoever
// installs or examines the app is told.
func TestWhatWorkersListenOnByThemselvesIsTold(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		text, err := os.ReadFile("testdata/exclusive.js")
		if err != nil {
			t.Fatal(err)
		}
		h.program(string(text))
		flags := []string{"--listen", "8080=3000", "--workers", "1"}
		h.install(flags...)
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		h.until("its own listener", func(st master.Status) bool { return len(st.Workers) == 1 && len(st.Workers[0].Opened) == 1 })
		told := regexp.MustCompile(`(?m)the worker in slot 0 listens by itself on 127\.0\.0\.1:\d+ \(exclusive, or reusePort\): nothing is handed over there, and a reload does not keep that open$`)
		for _, again := range [][]string{flags, append([]string{"--drain-timeout", "5s"}, flags...)} {
			if out := h.install(again...); !told.MatchString(out) {
				t.Errorf("install, again, with %q says\n%s\nand does not tell of the exclusive listener", again, out)
			}
		}
		if out, err := h.rondo("doctor", "app"); !told.MatchString(out) {
			t.Errorf("doctor says %v and\n%s\nand does not tell of the exclusive listener", err, out)
		}
	})
}
