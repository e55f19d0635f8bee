package ledger

import (
	"os"
	"testing"
)

const netstat = `TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits TCPSynRetrans
TcpExt: 1 23 45 6 78
IpExt: InNoRoutes ListenDrops
IpExt: 7 8
`

func TestCountersAreFoundByName(t *testing.T) {
	for text, want := range map[string]Overflow{
		netstat: {Overflows: 23, Drops: 45, Retries: 78},
		"IpExt: a\nIpExt: 1\n\nTcpExt: ListenDrops TCPSynRetrans ListenOverflows\nTcpExt: 1 3 2\n": {Overflows: 2, Drops: 1, Retries: 3},
	} {
		if got, err := parseNetstat(text); err != nil || got != want {
			t.Errorf("parseNetstat(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "TcpExt: ListenDrops ListenOverflows\n",
		"TcpExt: ListenDrops ListenOverflows\nTcpExt: 1\n",
		"TcpExt: ListenDrops\nTcpExt: 1\n",
		"TcpExt: ListenDrops ListenOverflows\nTcpExt: 1 2\n",
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
