package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// FuzzParse holds Parse to three things: it does not panic, it knows JSON from
// what is not, and one message gives one result however its text is spaced: so
// the quick path for the messages that come with each connection, which knows
// one spacing only, gives what the slow one does.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"cmd":"NODE_CLUSTER","ack":999999999999999,"accepted":true,"seq":9999999999999999}`))
	f.Add([]byte(`{"cmd":"NODE_CLUSTER","ack":00,"accepted":true,"seq":1}`))
	f.Add([]byte(`{"cmd":"NODE_CLUSTER","ack":1,"accepted":true,"seq":1,"seq":2}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var got Message
		err := Parse(line, &got)
		if (err == nil) != json.Valid(line) {
			t.Fatalf("Parse(%q) = %v, and json.Valid says %v", line, err, json.Valid(line))
		}
		if err != nil {
			return
		}
		checkBounds(t, line, &got)
		for _, spaced := range [][]byte{append([]byte(" "), line...), append(bytes.Clone(line), ' '), spaceOut(line)} {
			var other Message
			if err := Parse(spaced, &other); err != nil {
				t.Fatalf("Parse(%q) = %v, and with fewer spaces no error", spaced, err)
			}
			if got.Kind == User && other.Kind == User { // Body is the text itself
				got.Body, other.Body = nil, nil
			}
			tighten(t, &got)
			tighten(t, &other)
			if !reflect.DeepEqual(got, other) {
				t.Fatalf("spaces change the message\n%q is %+v %+v\n%q is %+v %+v", line, got, got.Query, spaced, other, other.Query)
			}
		}
	})
}

func checkBounds(t *testing.T, line []byte, m *Message) {
	if m.Batch < 0 || m.Batch > MaxBatch || m.N < 0 || m.N > MaxBatch {
		t.Fatalf("Parse(%q): batch %d, n %d, want from 0 to %d", line, m.Batch, m.N, MaxBatch)
	}
	if (m.Query != nil) != (m.Kind == QueryServer || m.Kind == Listening) {
		t.Fatalf("Parse(%q): kind %d with query %v", line, m.Kind, m.Query)
	}
	if m.Query != nil && m.Query.Backlog < 0 {
		t.Fatalf("Parse(%q): backlog %d, want at least 0", line, m.Query.Backlog)
	}
	if (m.Body != nil) != (m.Kind == User) {
		t.Fatalf("Parse(%q): kind %d with body %q", line, m.Kind, m.Body)
	}
	if len(m.Key) > 3*len(line) {
		t.Fatalf("Parse(%q): key of %d bytes", line, len(m.Key))
	}
}

// tighten removes the spaces of raw members, which are compared as values.
func tighten(t *testing.T, m *Message) {
	if m.Data != nil {
		m.Data = compact(t, m.Data)
	}
	if m.Query != nil && m.Query.Data != nil {
		m.Query.Data = compact(t, m.Query.Data)
	}
}

func compact(t *testing.T, raw []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatalf("data %q is not JSON: %v", raw, err)
	}
	return b.Bytes()
}

// spaceOut puts a space wherever JSON allows one.
func spaceOut(line []byte) []byte {
	var out []byte
	inString, escaped := false, false
	for _, c := range line {
		switch {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case !inString && bytes.IndexByte([]byte("{}[]:,"), c) >= 0:
			out = append(out, ' ', c, '\t')
			continue
		}
		out = append(out, c)
	}
	return out
}

// FuzzObject holds the walk over an object's members to encoding/json's.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"cmd":"x","seq":[{"cmd":1},"}"],"key":"\"]"}`, `{"cmd":1,"cmd":2}`, `{"\u0063md":"x"}`, `[{"cmd":1}]`, `7`, `{"port" : -1e5 , "fd":true}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(raw, &want) == nil && want != nil
		var o object
		if got := o.read(raw); got != isObject {
			t.Fatalf("read(%q) = %v, want %v", raw, got, isObject)
		}
		for _, name := range []string{"cmd", "msg", "act", "seq", "ack", "key", "accepted", "refused", "errno", "data", "n", "sockname", "rondo",
			"address", "port", "addressType", "fd", "index", "flags", "backlog", "readableAll", "writableAll"} {
			if got := *o.field([]byte(name)); !bytes.Equal(got, want[name]) {
				t.Fatalf("read(%q): %s is %q, want %q", raw, name, got, want[name])
			}
		}
	})
}

// FuzzReader holds the Reader to giving the same lines however reads cut the stream.
func FuzzReader(f *testing.F) {
	f.Add([]byte("a\nbb\n\nccc"), uint64(1), uint16(0))
	f.Add(bytes.Repeat([]byte("0123456789abcde\n"), 1000), uint64(2), uint16(9000))
	f.Add([]byte(strings.Repeat("x", 3*readerMin)+"\ny\n"), uint64(3), uint16(readerMin))
	f.Add([]byte(`{"cmd":"NODE_HANDLE","msg":"`+strings.Repeat("x", 2*readerMin)+"\"}\n\n"), uint64(4), uint16(readerMin+1))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, limit uint16) {
		want := wantLines(stream, max(int(limit), readerMin))
		rnd := rand.New(rand.NewPCG(seed, 0))
		for name, next := range map[string]func() int{
			"whole":   always(1 << 30),
			"bytes":   always(1),
			"chunks":  func() int { return 1 + rnd.IntN(20) },
			"varying": func() int { return 1 << rnd.IntN(14) },
		} {
			if got := feed(t, NewReader(int(limit)), string(stream), next); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: got %d lines %.200s, want %d %.200s", name, len(got), got, len(want), want)
			}
		}
	})
}

// wantLines is what a Reader should give, by the simplest means.
func wantLines(stream []byte, limit int) []string {
	var want []string
	lines := bytes.Split(stream, []byte("\n"))
	for _, line := range lines[:len(lines)-1] {
		if len(line) > limit {
			want = append(want, fmt.Sprintf("too long, envelope %v", bytes.HasPrefix(line, []byte(`{"cmd":"NODE_HANDLE",`))))
		} else {
			want = append(want, fmt.Sprintf("%q", line))
		}
	}
	return want
}
