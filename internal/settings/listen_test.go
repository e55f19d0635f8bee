package settings

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestParseListenReadsTheGrammar(t *testing.T) {
	any4, lo, six := netip.Addr{}, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	for text, want := range map[string]Listen{
		"80":                                {Kind: KindTCP, IP: any4, Port: 80},
		"http@80":                           {Name: "http", Kind: KindTCP, Port: 80},
		"8http@80":                          {Name: "8http", Kind: KindTCP, Port: 80},
		"127.0.0.1:80":                      {Kind: KindTCP, IP: lo, Port: 80},
		"[::1]:80":                          {Kind: KindTCP, IP: six, Port: 80},
		"[fe80::1%eth0]:80":                 {Kind: KindTCP, IP: netip.MustParseAddr("fe80::1%eth0"), Port: 80},
		"80=3000":                           {Kind: KindTCP, Port: 80, Want: &Want{Port: 3000}},
		"web@[::1]:80=127.0.0.1:3000":       {Name: "web", Kind: KindTCP, IP: six, Port: 80, Want: &Want{IP: lo, Port: 3000}},
		"80=[::1]:3000":                     {Kind: KindTCP, Port: 80, Want: &Want{IP: six, Port: 3000}},
		"80=/run/x.sock":                    {Kind: KindTCP, Port: 80, Want: &Want{Path: "/run/x.sock"}},
		"udp:53":                            {Kind: KindUDP, Port: 53},
		"dns@udp:127.0.0.1:53=5353":         {Name: "dns", Kind: KindUDP, IP: lo, Port: 53, Want: &Want{Port: 5353}},
		"unix:/run/app.sock":                {Kind: KindUnix, Path: "/run/app.sock"},
		"unix:/run/a@b.sock":                {Kind: KindUnix, Path: "/run/a@b.sock"},
		"unix:/run/a=b.sock=3000":           {Kind: KindUnix, Path: "/run/a=b.sock", Want: &Want{Port: 3000}},
		"ux@unix:@abstract":                 {Name: "ux", Kind: KindUnix, Path: "@abstract"},
		"unix:@abstract":                    {Kind: KindUnix, Path: "@abstract"},
		"fd:http=3000":                      {Kind: KindFD, FD: "http", Want: &Want{Port: 3000}},
		"fd:app@1.socket":                   {Kind: KindFD, FD: "app@1.socket"},
		"fd:0":                              {Kind: KindFD, FD: "0"},
		"unix:/" + strings.Repeat("a", 106): {Kind: KindUnix, Path: "/" + strings.Repeat("a", 106)},
	} {
		got, err := ParseListen(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseListen(%q) = %+v, %v, want %+v", text, got, err, want)
			continue
		}
		if got.String() != text {
			t.Errorf("ParseListen(%q).String() = %q", text, got)
		}
	}
}

func TestParseListenSaysWhichPartWhereAndWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  `SOCKET at column 1 is empty, right would be "80"`,
		"@80":                               `NAME at column 1 is empty, right would be "http@80"`,
		"80@80":                             `NAME at column 1 is all digits, which reads as a port`,
		"h p@80":                            `NAME at column 2 has " "`,
		"http@":                             `SOCKET at column 6 is empty`,
		"http@80x":                          `PORT at column 6 "80x" is not a number, right would be "80"`,
		"0":                                 `PORT at column 1 0 is not from 1 to 65535`,
		"65536":                             `PORT at column 1 65536 is not from 1 to 65535`,
		"-1":                                `PORT at column 1 "-1" is not a number`,
		"80=":                               `WANT at column 4 is empty, right would be "80=3000"`,
		"80=x":                              `WANT at column 4 "x" is not a number`,
		"80=80=3000":                        `PORT at column 1 "80=80" is not a number`,
		"localhost:80":                      `IP at column 1 "localhost" is not an address: names are not looked up, right would be "127.0.0.1:80"`,
		"127.0.0.1:":                        `PORT at column 11 is empty`,
		":80":                               `IP at column 1 is empty`,
		"*:80":                              `IP at column 1 is "*"`,
		"::1:80":                            `IP at column 1 is IPv6 without brackets, right would be "[::1]:80"`,
		"::1":                               `IP at column 1 is IPv6 without brackets, or not an address, right would be "[::1]:80"`,
		"[::1:80":                           `IP at column 1 has "[" without "]"`,
		"[1.2.3.4]:80":                      `IP at column 1 is IPv4 in brackets`,
		"tcp:80":                            `SOCKET at column 1 starts with "tcp:", which is not said`,
		"/run/x.sock":                       `SOCKET at column 1 is a path, right would be "unix:/run/app.sock"`,
		"unix:":                             `PATH at column 6 is empty`,
		"unix:run/x":                        `PATH at column 6 is not absolute`,
		"unix:/run/":                        `PATH at column 6 is a directory's`,
		"unix:/a=b":                         `WANT at column 9 "b" is not a number`,
		"fd:":                               `NAME at column 4 is empty`,
		"fd:a b":                            `NAME at column 5 has " "`,
		"udp:x":                             `PORT at column 5 "x" is not a number, right would be "udp:53"`,
		"udp:53=/x":                         `WANT at column 8 is a path`,
		"web@udp:[::1]:x":                   `PORT at column 15 "x" is not a number`,
		"80=unix:/x":                        `WANT at column 4 "unix" is not an address`,
		"[fe80::1%a/b]:80":                  `IP at column 1 has the zone "a/b"`,
		"unix:/a\x00b":                      `PATH at column 6 has a control character`,
		strings.Repeat("a", 256) + "@80":    `NAME at column 1 is longer than 255 bytes`,
		"unix:/" + strings.Repeat("a", 107): `PATH at column 6 is 108 bytes long, and a socket's path has 107 at most`,
	} {
		_, err := ParseListen(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseListen(%q) = %v, want %s", text, err, want)
		}
	}
}

func TestSocketsOfTwoKindsAreNotMappedToOneAddress(t *testing.T) {
	for _, row := range []struct {
		a, b    string
		refused bool
	}{
		{"80=3000", "unix:/run/x=3000", true},
		{"80=/run/y", "unix:/run/x=/run/y", true},
		{"80=3000", "unix:/run/x=127.0.0.1:3000", true},
		{"80=0.0.0.0:3000", "unix:/run/x=[::]:3000", true},
		{"80=[::1]:3000", "unix:/run/x=[::1]:3000", true},
		{"80=127.0.0.1:3000", "unix:/run/x=[::1]:3000", false},
		{"80=3000", "unix:/run/x=3001", false},
		{"80=3000", "unix:/run/x=/3000", false},
		{"80=3000", "unix:/run/x", false},
		{"3000", "unix:/run/x=3000", false}, // an explicit mapping goes first
		{"80=3000", "127.0.0.1:81=3000", false},
		{"unix:/run/x=3000", "unix:/run/y=3000", false},
		{"80=3000", "udp:80=3000", false}, // which is not served at all
		{"80=3000", "fd:x=3000", false},   // whose kind the master will know
	} {
		for _, flags := range [][]string{{row.a, row.b}, {"1=1", row.b, row.a}} {
			_, err := Sources{Command: []string{"x"}, Flags: map[string][]string{"listen": flags}}.Load()
			if (err != nil) != row.refused {
				t.Errorf("%q: %v, want it refused: %v", flags, err, row.refused)
			}
		}
	}
	_, err := Sources{Command: []string{"x"}, Flags: map[string][]string{"listen": {"80=3000", "web@unix:/run/x=3000"}}}.Load()
	want := `--listen: "80=3000" and "web@unix:/run/x=3000" are sockets of two kinds for one address of the program: map one of them to another, and have the program listen on both`
	if err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

func FuzzParseListen(f *testing.F) {
	for _, s := range []string{"80", "a@127.0.0.1:80=3000", "[::1%e]:80=/x", "udp:53", "unix:@a", "fd:x=1", "=@:[]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseListen(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("ParseListen(%q): the error has more than one line: %q", text, err)
			}
			return
		}
		again, err := ParseListen(l.String())
		if err != nil || !reflect.DeepEqual(again, l) {
			t.Fatalf("ParseListen(%q) = %+v; its String %q reads as %+v, %v", text, l, l, again, err)
		}
	})
}
