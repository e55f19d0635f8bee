package units

import (
	"fmt"
	"strings"
)

// text is a unit being written.
type text struct{ b strings.Builder }

func (t *text) section(name string) {
	if t.b.Len() > 0 {
		t.b.WriteByte('\n')
	}
	fmt.Fprintf(&t.b, "[%s]\n", name)
}

// set writes a line for each value; they are quoted already.
func (t *text) set(name string, values ...string) {
	for _, value := range values {
		fmt.Fprintf(&t.b, "%s=%s\n", name, value)
	}
}

const lineWidth = 100

// comment writes words, folded. No line may end in a backslash, which would take
// the next one with it: what a person chose stays out of comments.
func (t *text) comment(words string) { t.indented("", words) }

// item is a comment whose lines after the first are indented.
func (t *text) item(words string) { t.indented("    ", words) }

func (t *text) indented(by, words string) {
	indent := ""
	for _, line := range fold(words, lineWidth-len("# ")-len(by)) {
		t.b.WriteString("# " + indent + line + "\n")
		indent = by
	}
}

// fold breaks words into lines of at most width, as far as the words are shorter.
func fold(words string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(words) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
