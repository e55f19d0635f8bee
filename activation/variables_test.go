package activation

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const testPID, testID = 42, 7001

func known() (uint64, bool)     { return testID, true }
func unknownID() (uint64, bool) { return 0, false }

func TestVariablesSayWhichDescriptorsWerePassed(t *testing.T) {
	tests := []struct {
		name string
		v    variables
		id   func() (uint64, bool)
		want []string
	}{
		{"nothing set", variables{}, known, nil},
		{"no pid", variables{fds: "2", names: "a:b"}, known, nil},
		{"another process", variables{pid: "43", fds: "2"}, known, nil},
		{"another process and nonsense", variables{pid: "43", fds: "x", pidfdID: "x"}, known, nil},
		{"no count", variables{pid: "42"}, known, nil},
		{"no names", variables{pid: "42", fds: "2"}, known, []string{"unknown", "unknown"}},
		{"names", variables{pid: "42", fds: "2", names: "http:admin"}, known, []string{"http", "admin"}},
		{"one name twice", variables{pid: "42", fds: "2", names: "http:http"}, known, []string{"http", "http"}},
		{"empty names keep their places", variables{pid: "42", fds: "3", names: ":b:"}, known, []string{"unknown", "b", "unknown"}},
		{"our id", variables{pid: "42", pidfdID: "7001", fds: "1"}, known, []string{"unknown"}},
		{"the id of another process", variables{pid: "42", pidfdID: "7002", fds: "1"}, known, nil},
		{"an id that cannot be checked", variables{pid: "42", pidfdID: "7002", fds: "1"}, unknownID, []string{"unknown"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(tt.v, testPID, tt.id)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("parse(%+v) = %q, %v, want %q", tt.v, got, err, tt.want)
			}
		})
	}
}

func TestVariablesThatCannotBeMeantAreErrors(t *testing.T) {
	tests := []struct {
		name  string
		v     variables
		want  string // in the error
		count int    // of descriptors to close
	}{
		{"pid not a number", variables{pid: "self", fds: "1"}, `LISTEN_PID="self"`, 0},
		{"pid zero", variables{pid: "0", fds: "1"}, `LISTEN_PID="0"`, 0},
		{"pid with a sign", variables{pid: "+42", fds: "1"}, `LISTEN_PID="+42"`, 0},
		{"id not a number", variables{pid: "42", pidfdID: "-1", fds: "1"}, `LISTEN_PIDFDID="-1"`, 0},
		{"count not a number", variables{pid: "42", fds: "one"}, `LISTEN_FDS="one"`, 0},
		{"count zero", variables{pid: "42", fds: "0"}, `LISTEN_FDS="0"`, 0},
		{"count negative", variables{pid: "42", fds: "-1"}, `LISTEN_FDS="-1"`, 0},
		{"count with a space", variables{pid: "42", fds: "1 "}, `LISTEN_FDS="1 "`, 0},
		{"count absurd", variables{pid: "42", fds: "4097"}, "from 1 to 4096", 0},
		{"count beyond any integer", variables{pid: "42", fds: strings.Repeat("9", 40)}, "from 1 to 4096", 0},
		{"too few names", variables{pid: "42", fds: "3", names: "a:b"}, `LISTEN_FDNAMES="a:b": 2 names for the 3 descriptors`, 3},
		{"too many names", variables{pid: "42", fds: "1", names: "a:b"}, `2 names for the 1 descriptors`, 1},
		{"separators are not coalesced", variables{pid: "42", fds: "2", names: "a::b"}, `3 names for the 2 descriptors`, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names, err := parse(tt.v, testPID, known)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("parse(%+v) = %v, want an error with %s", tt.v, err, tt.want)
			}
			if len(names) != tt.count {
				t.Errorf("parse(%+v) gives %d descriptors to close, want %d", tt.v, len(names), tt.count)
			}
		})
	}
}

func TestTakeRemovesTheVariablesInEveryCase(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	tests := []struct {
		name     string
		pid, fds string
		fails    bool
	}{
		{"nothing passed", "", "", false},
		{"another process", "1", "1", false},
		{"an error", own, "none", true},
		{"no count", own, "", false},
	}
	keys := []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, key := range keys {
				t.Setenv(key, "")
			}
			os.Setenv("LISTEN_PID", tt.pid)
			os.Setenv("LISTEN_FDS", tt.fds)
			sockets, err := Take()
			if sockets != nil || (err != nil) != tt.fails {
				t.Errorf("Take() = %v, %v, want no sockets and an error %v", sockets, err, tt.fails)
			}
			for _, key := range keys {
				if value, ok := os.LookupEnv(key); ok {
					t.Errorf("after Take, %s=%q, want it removed", key, value)
				}
			}
			if sockets, err := Take(); sockets != nil || err != nil {
				t.Errorf("the second Take() = %v, %v, want nothing", sockets, err)
			}
		})
	}
}

// FuzzParse checks what must hold for any variables; its corpus is in testdata.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, pid, pidfdID, fds, names string) {
		v := variables{pid: pid, pidfdID: pidfdID, fds: fds, names: names}
		got, err := parse(v, testPID, known)
		if len(got) == 0 {
			return
		}
		n, convErr := strconv.Atoi(fds)
		if convErr != nil || n != len(got) || n > maxPassed {
			t.Errorf("parse(%+v) gives %d descriptors", v, len(got))
		}
		if own, _ := strconv.Atoi(pid); own != testPID {
			t.Errorf("parse(%+v) gives the descriptors of another process", v)
		}
		if slices.Contains(got, "") {
			t.Errorf("parse(%+v) = %q, want no empty name", v, got)
		}
		if err == nil && names != "" && strings.Count(names, ":") != n-1 {
			t.Errorf("parse(%+v) = %q, want an error for the number of names", v, got)
		}
	})
}
