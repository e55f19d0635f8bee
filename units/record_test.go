package units

import (
	"reflect"
	"strings"
	"testing"
)

func TestAServiceTellsItsApp(t *testing.T) {
	for name, change := range cases(t) {
		for _, systemd := range classes {
			want := simple(t, systemd)
			change(&want)
			want.setDefaults()
			list := files(t, systemd, change)
			got, err := list[len(list)-1].App()
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s for %d: App = %+v, %v, want %+v", name, systemd, got, err, want)
				continue
			}
			again, err := got.Files(testVersion)
			if err != nil || !reflect.DeepEqual(again, list) {
				t.Errorf("%s for %d: what App gives is rendered otherwise, %v", name, systemd, err)
			}
		}
	}
}

func TestAppNeedsARecordItKnows(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no record":          {"[Service]\nApp={}\n", "no App= in a section [X-Rondo]"},
		"a later section":    {"[X-Rondo]\n[Service]\nApp={}\n", "no App="},
		"a newer one's":      {"[X-Rondo]\nApp={\"Name\":\"app\",\"Colour\":1}\n", "Colour"},
		"half a record":      {"[X-Rondo]\nApp={\"Name\"\n", "app.service: [X-Rondo] App=: "},
		"a record too early": {"App={}\n[X-Rondo]\n", "no App="},
	} {
		if _, err := (File{"app.service", test.text}).App(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("of %s App = %v, want an error with %q", name, err, test.want)
		}
	}
}
