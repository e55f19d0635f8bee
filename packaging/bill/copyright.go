package main

import (
	"fmt"
	"os"
	"strings"
)

// writeCopyright writes Debian's machine-readable form (DEP-5).
func writeCopyright(o options, parts []part) error {
	var b strings.Builder
	b.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n" +
		"Upstream-Name: rondo\nSource: " + homepage + "\n\n" +
		"Files: *\nCopyright: the authors of rondo\nLicense: Apache-2.0\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "\nFiles: %s\nComment: linked into /usr/bin/rondo, version %s\nCopyright: %s\nLicense: %s\n",
			p.name, p.version, strings.Join(p.holders, "\n           "), p.name+"-license")
	}
	b.WriteString("\nLicense: Apache-2.0\n On Debian systems its text is in /usr/share/common-licenses/Apache-2.0.\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "\nLicense: %s\n", p.name+"-license")
		if p.license == "Apache-2.0" {
			b.WriteString(" The Apache License, version 2.0: on Debian systems in\n /usr/share/common-licenses/Apache-2.0.\n")
		} else {
			paragraph(&b, p.text)
		}
		if p.notice != "" {
			b.WriteString(" .\n Its NOTICE:\n .\n")
			paragraph(&b, p.notice)
		}
	}
	return os.WriteFile(o.copyright, []byte(b.String()), 0o644)
}

// paragraph writes a text as the rest of a field.
func paragraph(b *strings.Builder, text string) {
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		if line = strings.TrimRight(line, " \t\r\n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
}
