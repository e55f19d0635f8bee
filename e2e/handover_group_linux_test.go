//go:build !portable

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/master"
)

func init() { roles["parent"] = parentWorker }

// parentWorker serves, and starts a child that it never ends.
func parentWorker() int {
	if err := exec.Command("sleep", "1000").Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	return goWorker()
}

// TestWhatAHandedOverWorkerStartedEndsWithIt: a reload would leave more of it each time.
func TestWhatAHandedOverWorkerStartedEndsWithIt(t *testing.T) {
	cfg := master.Config{Settings: quick(goCommand(t), 2)}
	s := start(t, cfg, roleVar+"=parent")
	var left []*sys.Handle
	for _, w := range s.status().Workers {
		for _, pid := range children(t, w.PID) {
			h, err := sys.OpenHandle(pid)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			left = append(left, h)
		}
	}
	if len(left) != 2 {
		t.Fatalf("the workers have %d children, want 2", len(left))
	}
	cfg.Env = append(os.Environ(), roleVar+"=parent", "TEST_LISTEN="+s.address, "GORACE=atexit_sleep_ms=0")
	s.handOver(cfg)
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, h := range left {
		if err := h.Wait(ctx); err != nil {
			t.Errorf("a child of a worker that was replaced: %v", err)
		}
	}
}
