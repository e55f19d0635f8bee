package e2e

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestCensusSeesAPlantedLeak holds the census, by which every test here is judged, to
// seeing one thing too many of each kind, and to forgetting it when it is gone.
func TestCensusSeesAPlantedLeak(t *testing.T) {
	for _, row := range []struct {
		kind  string
		plant func(t *testing.T) (remove func())
	}{
		{"descriptors", func(t *testing.T) func() {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			return func() { f.Close() }
		}},
		{"goroutines", func(*testing.T) func() {
			end, ended := make(chan struct{}), make(chan struct{})
			go func() { // ends with end
				<-end
				close(ended)
			}()
			return func() { close(end); <-ended }
		}},
		{"processes", func(t *testing.T) func() {
			c := exec.Command(goCommand(t)[0])
			c.Env = []string{roleVar + "=idle", "GORACE=atexit_sleep_ms=0"}
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			c.Stdin = r
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			r.Close()
			return func() { w.Close(); c.Wait() }
		}},
	} {
		t.Run(row.kind, func(t *testing.T) {
			for limit := time.Now().Add(patience); ; {
				before := takeCensus()
				remove := row.plant(t)
				diff := before.differs(takeCensus())
				remove()
				before.compare(t)
				if strings.Contains(diff, row.kind+": ") {
					return
				}
				// What an earlier test left ending may have made room for it.
				if time.Now().After(limit) {
					t.Fatalf("with one more the census says %q, want it to name %s", diff, row.kind)
				}
			}
		})
	}
}

// idle does nothing until its input ends.
func idle() int {
	io.Copy(io.Discard, os.Stdin)
	return 0
}
