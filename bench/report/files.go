package report

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/rondokit/rondo/bench/result"
)

// Write makes the files of a run in dir: report.md, table.md for the README,
// results.json with every sample, and the charts of what was measured.
func Write(dir string, run *result.Run) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer, *result.Run) error
	}{{"report.md", Markdown}, {"table.md", Table}, {"results.json", samples}} {
		if err := write(filepath.Join(dir, file.name), run, file.write); err != nil {
			return err
		}
	}
	return drawAll(dir, run)
}

func write(path string, run *result.Run, to func(io.Writer, *result.Run) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = to(w, run)
	if err == nil {
		err = w.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

func samples(w io.Writer, run *result.Run) error {
	return json.NewEncoder(w).Encode(run)
}
