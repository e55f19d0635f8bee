package units

import (
	"strings"
	"testing"
)

func TestAnEditedUnitIsToldFromAnOutdatedOne(t *testing.T) {
	a := simple(t, oldest)
	render := func(version string) File {
		list, err := a.Files(version)
		if err != nil {
			t.Fatal(err)
		}
		return list[len(list)-1]
	}
	old := render("1.0.0")
	a.StartTimeout = 5e9 // stands for what a newer rondo writes otherwise
	now := render("2.0.0-3-gabc+dirty")

	if h, ours := old.Header(); !ours || h != (Header{Version: "1.0.0"}) || old.Text == now.Text {
		t.Errorf("of an older one Header = %+v, %v, want version 1.0.0, not edited", h, ours)
	}
	if h, ours := now.Header(); !ours || h != (Header{Version: "2.0.0-3-gabc+dirty"}) {
		t.Errorf("of a new one Header = %+v, %v, want its version, not edited", h, ours)
	}
	first := strings.Index(now.Text, "\n") + 1
	for name, text := range map[string]string{
		"a value":            strings.Replace(now.Text, "RestartSec=0", "RestartSec=200ms", 1),
		"a line more":        now.Text + "# mine\n",
		"a line less":        strings.Replace(now.Text, "WatchdogSec=30s\n", "", 1),
		"another end":        now.Text + "\n",
		"the lines' ends":    now.Text[:first] + strings.ReplaceAll(now.Text[first:], "\n", "\r\n"),
		"the hash":           strings.Replace(now.Text, "sha256="+now.Text[first-65:first-1], "sha256="+strings.Repeat("0", 64), 1),
		"all but its header": now.Text[:first],
	} {
		if h, ours := (File{now.Name, text}).Header(); !ours || !h.Edited {
			t.Errorf("with %s changed Header = %+v, %v, want it edited", name, h, ours)
		}
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"another's":           "[Unit]\nDescription=app\n",
		"no first line":       now.Text[first:],
		"a short hash":        "# rondo 1.0.0 sha256=abc\n",
		"a space too many":    strings.Replace(now.Text, "# rondo", "# rondo ", 1),
		"a line before it":    "\n" + now.Text,
		"no end of the line":  now.Text[:first-1],
		"a version of spaces": "# rondo a b sha256=" + strings.Repeat("0", 64) + "\n",
	} {
		if h, ours := (File{now.Name, text}).Header(); ours {
			t.Errorf("of %s Header = %+v, want not ours", name, h)
		}
	}
}

func TestAVersionIsOneWord(t *testing.T) {
	for _, version := range []string{"", "1 2", "1\n", "1\u00a0"} {
		if _, err := simple(t, oldest).Files(version); err == nil {
			t.Errorf("Files(%q) gives no error", version)
		}
	}
}
