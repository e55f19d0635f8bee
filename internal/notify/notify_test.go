package notify

import (
	"errors"
	"os"
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

func TestWithoutAManagerEverythingIsDoneInSilence(t *testing.T) {
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
