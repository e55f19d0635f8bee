package ledger

import (
	"os"
	"testing"
)

const netstat = `TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits
TcpExt: 1 23 45 6
IpExt: InNoRoutes ListenDrops
IpExt: 7 8
`

func TestCountersAreFoundByName(t *testing.T) {
	for text, want := range map[string]Overflow{
		netstat: {Overflows: 23, Drops: 45},
		"IpExt: a\nIpExt: 1\n\nTcpExt: ListenDrops ListenOverflows\nTcpExt: 1 2\n": {Overflows: 2, Drops: 1},
	} {
		if got, err := parseNetstat(text); err != nil || got != want {
			t.Errorf("parseNetstat(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "TcpExt: ListenDrops ListenOverflows\n",
		"TcpExt: ListenDrops ListenOverflows\nTcpExt: 1\n",
		"TcpExt: ListenDrops\nTcpExt: 1\n",
		"TcpExt: ListenDrops ListenOverflows\nTcpExt: 1 -2\n",
	} {
		if got, err := parseNetstat(text); err == nil {
			t.Errorf("parseNetstat(%q) = %+v, want an error", text, got)
		}
	}
}

func FuzzParseNetstat(f *testing.F) {
	f.Add(netstat)
	if own, err := os.ReadFile("/proc/net/netstat"); err == nil {
		f.Add(string(own))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseNetstat(text); err != nil && got != (Overflow{}) {
			t.Errorf("parseNetstat(%q) = %+v with %v, want nothing", text, got, err)
		}
	})
}
