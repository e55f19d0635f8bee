package units

import (
	"reflect"
	"strings"
	"testing"
)

func TestListenersAreGroupedByNameAndOptions(t *testing.T) {
	for name, test := range map[string]struct {
		listeners []string
		change    func([]Listener)
		want      map[string]string // unit -> what it listens on
	}{
		"one":                   {[]string{"80"}, nil, map[string]string{"app.socket": "80"}},
		"no name":               {[]string{"80", "443"}, nil, map[string]string{"app.socket": "80 443"}},
		"names":                 {[]string{"http@80", "https@443"}, nil, map[string]string{"app.socket": "80", "app-https.socket": "443"}},
		"the first name's":      {[]string{"80", "a@81", "82"}, nil, map[string]string{"app.socket": "80 82", "app-a.socket": "81"}},
		"a mapping":             {[]string{"a@80", "fd:a=3000"}, nil, map[string]string{"app.socket": "80"}},
		"backlogs":              {[]string{"80", "81"}, func(l []Listener) { l[1].Backlog = 1 }, map[string]string{"app.socket": "80", "app-2.socket": "81"}},
		"a backlog of none":     {[]string{"udp:80", "81"}, func(l []Listener) { l[1].Backlog = 1 }, map[string]string{"app.socket": "81 80"}},
		"modes":                 {[]string{"unix:/a", "unix:/b"}, func(l []Listener) { l[1].Mode = 0o600 }, map[string]string{"app.socket": "/a", "app-2.socket": "/b"}},
		"the default mode":      {[]string{"unix:/a", "unix:/b"}, func(l []Listener) { l[1].Mode = 0o666 }, map[string]string{"app.socket": "/a /b"}},
		"a mode of one":         {[]string{"unix:/a", "unix:@b", "80"}, func(l []Listener) { l[0].Mode = 0o600 }, map[string]string{"app.socket": "/a @b 80"}},
		"IPv6 alone":            {[]string{"80", "[::]:81"}, func(l []Listener) { l[1].IPv6Only = true }, map[string]string{"app.socket": "80", "app-2.socket": "[::]:81"}},
		"a name, other options": {[]string{"80", "a@81", "a@82"}, func(l []Listener) { l[2].Backlog = 1 }, map[string]string{"app.socket": "80", "app-a.socket": "81", "app-3.socket": "82"}},
		"a long name":           {[]string{"80", strings.Repeat("a", 250) + "@81"}, nil, map[string]string{"app.socket": "80", "app-2.socket": "81"}},
		"none":                  {nil, nil, map[string]string{}},
	} {
		a := simple(t, oldest)
		a.Listeners = listeners(t, test.listeners...)
		if test.change != nil {
			test.change(a.Listeners)
		}
		list, err := a.Files(testVersion)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := make(map[string]string)
		for i, f := range list[:len(list)-1] {
			values := parse(t, f.Text)
			got[f.Name] = strings.ReplaceAll(strings.Trim(values["Socket.ListenStream"]+"\n"+values["Socket.ListenDatagram"], "\n"), "\n", " ")
			if values["Socket.Service"] != "app.service" || (i == 0) != (f.Name == "app.socket") {
				t.Errorf("%s: file %d is %s, for %s", name, i, f.Name, values["Socket.Service"])
			}
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: the units listen on %q, want %q", name, got, test.want)
		}
	}
}
