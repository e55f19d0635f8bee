package worker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/internal/wire"
)

func init() {
	roles["join"] = roleJoin
}

// joined is what a child saw of its Join.
type joinReport struct {
	Err, Again           string
	ID, Slot, Generation int
	Left                 []string // variables of the channel in the environment after Join
	Inherited            bool     // a child process of the worker has descriptor 3
	Draining             bool
}

// roleJoin joins, twice, and reports.
func roleJoin() int {
	var r joinReport
	w, err := Join(Config{})
	if err != nil {
		r.Err = err.Error()
	} else {
		r.ID, r.Slot, r.Generation = w.ID(), w.Slot(), w.Generation()
		r.Inherited = exec.Command("/bin/sh", "-c", "exec 4<&3").Run() == nil
		if w.channel != nil {
			<-w.Draining() // the test lets go of the channel
		}
	}
	if _, err := Join(Config{}); err != nil {
		r.Again = err.Error()
	}
	for _, name := range []string{"NODE_UNIQUE_ID", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"} {
		if _, ok := os.LookupEnv(name); ok {
			r.Left = append(r.Left, name)
		}
	}
	return printJSON(r)
}

func printJSON(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return fail(err)
	}
	fmt.Println(string(b))
	return 0
}

// startJoin starts the role with a channel as descriptor 3 and returns what it
// reports once the channel has ended.
func startJoin(t *testing.T, env ...string) (*fakeMaster, func() joinReport) {
	t.Helper()
	m, fd := newMaster(t)
	theirs := os.NewFile(uintptr(fd), "channel")
	defer theirs.Close()
	cmd := child(t.Context(), "join", env...)
	cmd.ExtraFiles = []*os.File{theirs}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return m, func() (r joinReport) {
		t.Helper()
		m.close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v in %q", err, &out)
		}
		return r
	}
}

func TestJoinTakesTheChannelFromTheEnvironment(t *testing.T) {
	m, report := startJoin(t, "NODE_CHANNEL_FD=3", "NODE_UNIQUE_ID=17", "NODE_CHANNEL_SERIALIZATION_MODE=json",
		"RONDO_WORKER_ID=17", "RONDO_SLOT=2", "RONDO_GENERATION=5")
	if got := m.want(wire.Online); got.Seq != 0 || got.Batch != wire.MaxBatch {
		t.Errorf("first message %+v, want seq 0 and batch %d", got, wire.MaxBatch)
	}
	r := report()
	if r.Err != "" || r.ID != 17 || r.Slot != 2 || r.Generation != 5 {
		t.Errorf("joined as %+v", r)
	}
	if len(r.Left) > 0 || r.Inherited {
		t.Errorf("variables left %q, channel inherited %t; want neither", r.Left, r.Inherited)
	}
	if !strings.Contains(r.Again, "Join was called before") {
		t.Errorf("second Join = %q, want an error", r.Again)
	}
}

func TestJoinUnderAnotherPrimaryKnowsNoSlot(t *testing.T) {
	m, report := startJoin(t, "NODE_CHANNEL_FD=3", "NODE_UNIQUE_ID=1")
	m.want(wire.Online)
	if r := report(); r.Err != "" || r.ID != 1 || r.Slot != -1 || r.Generation != -1 {
		t.Errorf("joined as %+v, want id 1, slot and generation -1", r)
	}
}

func TestJoinNamesWhatIsWrongWithTheChannel(t *testing.T) {
	for _, test := range []struct {
		name string
		env  []string
		want string
	}{
		{"serialization", []string{"NODE_CHANNEL_FD=3", "NODE_UNIQUE_ID=1", "NODE_CHANNEL_SERIALIZATION_MODE=advanced"}, "only json"},
		{"not open", []string{"NODE_CHANNEL_FD=999", "NODE_UNIQUE_ID=1"}, "NODE_CHANNEL_FD=999: bad file descriptor"},
		{"not a socket", []string{"NODE_CHANNEL_FD=0", "NODE_UNIQUE_ID=1"}, "NODE_CHANNEL_FD=0: socket operation on non-socket"},
		{"not a number", []string{"NODE_CHANNEL_FD=x", "NODE_UNIQUE_ID=1"}, `NODE_CHANNEL_FD="x"`},
		{"no channel", []string{"NODE_UNIQUE_ID=1"}, "NODE_UNIQUE_ID without NODE_CHANNEL_FD"},
		{"no id", []string{"NODE_CHANNEL_FD=3", "NODE_UNIQUE_ID="}, `NODE_UNIQUE_ID=""`},
		{"no slot", []string{"NODE_CHANNEL_FD=3", "NODE_UNIQUE_ID=1", "RONDO_WORKER_ID=1"}, `RONDO_SLOT=""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, report := startJoin(t, test.env...)
			if r := report(); !strings.Contains(r.Err, test.want) || len(r.Left) > 0 {
				t.Errorf("Join = %q, variables left %q; want an error with %q and none left", r.Err, r.Left, test.want)
			}
		})
	}
}

func TestAChannelThatIsNoClustersIsLeftAlone(t *testing.T) {
	_, report := startJoin(t, "NODE_CHANNEL_FD=3") // child_process.fork, pm2's fork mode
	r := report()
	if r.Err != "" || r.ID != 0 || !r.Inherited || len(r.Left) != 1 {
		t.Errorf("joined as %+v, want a worker alone and the channel untouched", r)
	}
}

func TestJoinOfAClosedChannelIsAnError(t *testing.T) {
	m, fd := newMaster(t)
	m.close()
	w, err := join(Config{}, environment{fd: fd, id: 1})
	if w != nil || err == nil {
		t.Fatalf("join = %v, %v, want an error", w, err)
	}
	if !strings.Contains(err.Error(), syscall.EPIPE.Error()) {
		t.Errorf("join = %v, want broken pipe", err)
	}
}

func TestReadyIsAUserMessageAndNeedsWaitReady(t *testing.T) {
	m, w := joinMaster(t, Config{WaitReady: true})
	if err := w.Ready(); err != nil {
		t.Fatal(err)
	}
	if got := m.want(wire.User); string(got.Body) != `"ready"` {
		t.Errorf("user message %s, want \"ready\"", got.Body)
	}
	w.config.WaitReady = false
	if err := w.Ready(); err == nil {
		t.Error("Ready without WaitReady = nil, want an error")
	}
}
