package units_test

import (
	"fmt"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/units"
)

// A server on port 80, for Debian 12.
func Example() {
	listen, err := settings.ParseListen("http@80=3000")
	if err != nil {
		fmt.Println(err)
		return
	}
	app := units.App{
		Name:      "app",
		Program:   "/usr/bin/node",
		Args:      []string{"server.js"},
		Directory: "/srv/app",
		Config:    "/etc/rondo/app.toml",
		Listeners: []units.Listener{{Listen: listen}},
		User:      "www-data",
		Systemd:   252,
	}
	files, err := app.Files("1.0.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range files {
		header, ours := f.Header()
		fmt.Println(f.Name, header.Version, ours, header.Edited)
		for line := range strings.Lines(f.Text) {
			if strings.HasPrefix(line, "Listen") || strings.HasPrefix(line, "Exec") {
				fmt.Print("\t", line)
			}
		}
	}
	// Output:
	// app.socket 1.0.0 true false
	// 	ListenStream=80
	// app.service 1.0.0 true false
	// 	ExecStart=/usr/bin/rondo run --config /etc/rondo/app.toml
	// 	ExecReload=+/usr/bin/rondo reload app
	// 	ExecStop=+/usr/bin/rondo systemd-stop app
	// 	ExecStopPost=+/usr/bin/rondo systemd-sweep app
}
