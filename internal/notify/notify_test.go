package notify

import (
	"errors"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// environment sets exactly these variables of the manager until the test ends.
func environment(t *testing.T, set map[string]string) {
	t.Helper()
	for _, key := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE"} {
		t.Setenv(key, set[key])
		if _, ok := set[key]; !ok {
			os.Unsetenv(key)
		}
	}
}

func TestWithoutAManagerOnlyStoreSaysThatNothingIsDone(t *testing.T) {
	environment(t, nil)
	unset, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]*Notifier{"nil": nil, "unset": unset} {
		if err := n.Send(Ready, Status("up")); err != nil {
			t.Errorf("%s: Send = %v, want nil", name, err)
		}
		if got := n.WatchdogTimeout(); got != 0 {
			t.Errorf("%s: WatchdogTimeout = %v, want 0", name, got)
		}
		if err := n.Store("state", 0); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: Store = %v, want it to be errors.ErrUnsupported", name, err)
		}
		if err := n.Remove("state"); err != nil {
			t.Errorf("%s: Remove = %v, want nil", name, err)
		}
		if got := n.StoreMax(); got != 0 {
			t.Errorf("%s: StoreMax = %d, want 0", name, got)
		}
		b, err := n.Barrier()
		if err != nil {
			t.Errorf("%s: Barrier = %v, want nil", name, err)
		}
		if err := errors.Join(b.Wait(t.Context()), b.Wait(t.Context())); err != nil {
			t.Errorf("%s: Wait = %v, want nil", name, err)
		}
		if got := n.Environ(); len(got) != 0 {
			t.Errorf("%s: Environ = %q, want nothing", name, got)
		}
		if err := errors.Join(n.Close(), n.Close()); err != nil {
			t.Errorf("%s: Close = %v, want nil", name, err)
		}
	}
}

func TestAddressesThatCannotBeReachedAreUnsupported(t *testing.T) {
	for _, address := range []string{"vsock:2:1234", "vsock-stream:2:1234", "run/notify", "tcp://127.0.0.1"} {
		environment(t, map[string]string{"NOTIFY_SOCKET": address, "FDSTORE": "8", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"})
		n, err := New()
		if n != nil || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), strconv.Quote(address)) {
			t.Errorf("New() with NOTIFY_SOCKET=%s = %v, %v, want an error that names it", address, n, err)
		}
		for _, key := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE"} {
			if value, ok := os.LookupEnv(key); ok {
				t.Errorf("after New, %s=%q, want it removed", key, value)
			}
		}
	}
}

func TestTheWatchdogIsOursOnlyWithOurPID(t *testing.T) {
	tests := []struct {
		usec, pid string
		want      time.Duration
		fails     bool
	}{
		{"", "", 0, false},
		{"", "42", 0, false},
		{"30000000", "42", 30 * time.Second, false},
		{"30000000", "", 30 * time.Second, false},
		{"3600000000", "42", time.Hour, false}, // more than 32 bits
		{"30000000", "43", 0, false},
		{"nonsense", "43", 0, false},
		{"30000000", "self", 0, true},
		{"nonsense", "42", 0, true},
		{"0", "42", 0, true},
		{"-1", "", 0, true},
		{"9223372036854775", "", 9223372036854775 * time.Microsecond, false},
		{"9223372036854776", "", 0, true},
		{"18446744073709551615", "", 0, true},
	}
	for _, tt := range tests {
		got, err := parseWatchdog(tt.usec, tt.pid, 42)
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("parseWatchdog(%q, %q, 42) = %v, %v, want %v and an error %v", tt.usec, tt.pid, got, err, tt.want, tt.fails)
		}
	}
}

func TestNamesThatTheManagerWouldNotKeepAreRefused(t *testing.T) {
	var n *Notifier // the name is looked at first
	for _, name := range []string{"", "a:b", "a\nREADY=1", "tab\t", "del\x7f", "größe", "\xff", "nul\x00", strings.Repeat("x", 256)} {
		if err := n.Store(name, 0); err == nil || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Store(%q) = %v, want an error about the name", name, err)
		}
		if err := n.Remove(name); err == nil {
			t.Errorf("Remove(%q) = nil, want an error about the name", name)
		}
	}
	for _, name := range []string{"state", "w17.chan", "a b=~c", strings.Repeat("x", 255)} {
		if err := n.Remove(name); err != nil {
			t.Errorf("Remove(%q) = %v, want nil", name, err)
		}
	}
}

func TestTheSizeOfTheStoreIsANumber(t *testing.T) {
	tests := []struct {
		value string
		want  int
		fails bool
	}{
		{"", 0, false},
		{"0", 0, false},
		{"34", 34, false},
		{"4294967295", math.MaxInt32, false}, // what an unlimited one is written as
		{"4294967296", 0, true},
		{"-1", 0, true},
		{"many", 0, true},
	}
	for _, tt := range tests {
		got, err := parseStoreMax(tt.value)
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("parseStoreMax(%q) = %d, %v, want %d and an error %v", tt.value, got, err, tt.want, tt.fails)
		}
	}
	environment(t, map[string]string{"FDSTORE": "many"})
	if n, err := New(); n != nil || err == nil || !strings.Contains(err.Error(), `FDSTORE="many"`) {
		t.Errorf("New() with FDSTORE=many = %v, %v, want an error that names it", n, err)
	}
	environment(t, map[string]string{"FDSTORE": "34"})
	if n, err := New(); err != nil || n.StoreMax() != 0 {
		t.Errorf("without a manager StoreMax = %d, %v, want 0", n.StoreMax(), err)
	}
}

func TestWhatNewRemovesCanBeHandedOn(t *testing.T) {
	environment(t, map[string]string{"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1", "FDSTORE": ""})
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"WATCHDOG_USEC=1000000", "WATCHDOG_PID=1", "FDSTORE="}
	if got := n.Environ(); !slices.Equal(got, want) {
		t.Errorf("Environ() = %q, want %q", got, want)
	}
	n.Environ()[0] = "changed"
	if got := n.Environ(); !slices.Equal(got, want) {
		t.Errorf("Environ() = %q after a caller has changed its copy, want %q", got, want)
	}
}

func TestAStatusIsOneLineOfText(t *testing.T) {
	tests := []struct{ text, want string }{
		{"generation 3: 4/4 ready", "STATUS=generation 3: 4/4 ready"},
		{"", "STATUS="},
		{"a\nREADY=1", "STATUS=a READY=1"},
		{"a\r\nb\rc\td\n", "STATUS=a b c d"},
		{"nul \x00 and escape \x1b[1m", "STATUS=nul   and escape  [1m"},
		{"größer, \xff", "STATUS=größer, \ufffd"},
		{strings.Repeat("x", maxStatus), "STATUS=" + strings.Repeat("x", maxStatus)},
		{strings.Repeat("x", maxStatus+1), "STATUS=" + strings.Repeat("x", maxStatus-3) + "..."},
	}
	for _, tt := range tests {
		if got := Status(tt.text); string(got) != tt.want {
			t.Errorf("Status(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
	if got := string(Status(strings.Repeat("ü", maxStatus))); !utf8.ValidString(got) {
		t.Errorf("a long Status = %q, want it cut between characters", got)
	}
}

func TestExtendTimeoutIsInMicroseconds(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want State
	}{
		{15 * time.Second, "EXTEND_TIMEOUT_USEC=15000000"},
		{1500 * time.Nanosecond, "EXTEND_TIMEOUT_USEC=1"},
		{0, "EXTEND_TIMEOUT_USEC=0"},
		{-time.Second, "EXTEND_TIMEOUT_USEC=0"},
	}
	for _, tt := range tests {
		if got := ExtendTimeout(tt.d); got != tt.want {
			t.Errorf("ExtendTimeout(%v) = %q, want %q", tt.d, got, tt.want)
		}
	}
}
