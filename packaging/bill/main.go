// Command bill writes what a program of Go is made of: an SPDX document, and the
// copyright file of a package with the licences of all that is linked in.
//
// It reads the module list that the go command wrote into the program, and the licences
// from the modules' sources. The same program gives the same files.
package main

import (
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"
)

type options struct {
	program, module string // what was built, and the directory of its module
	version, commit string
	spdx, copyright string // files to write
	created         time.Time
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "", "`file` that was built")
	flag.StringVar(&o.module, "module", ".", "`directory` of its module")
	flag.StringVar(&o.version, "version", "0.0.0-dev", "of the program")
	flag.StringVar(&o.commit, "commit", "", "that it was built from")
	flag.StringVar(&o.spdx, "spdx", "", "`file` for the SPDX document")
	flag.StringVar(&o.copyright, "copyright", "", "`file` for the copyright notices, as Debian has them")
	flag.Parse()
	if err := write(o); err != nil {
		fmt.Fprintln(os.Stderr, "bill:", err)
		os.Exit(1)
	}
}

func write(o options) error {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	o.created = time.Unix(seconds, 0).UTC()
	info, err := buildinfo.ReadFile(o.program)
	if err != nil {
		return err
	}
	parts, err := partsOf(info, o.module)
	if err != nil {
		return err
	}
	return errors.Join(writeSPDX(o, info.Main.Path, parts), writeCopyright(o, parts))
}
