// Package lastline finds the one line, of what a program wrote last, that tells why
// it ended.
//
// A program that dies says much: a stack, the source around it, the version of its
// runtime. [Of] gives the line with the error in it, so that a message that has it
// stays one that can be read.
//
// # Ownership
//
// It works on text alone.
//
// # Errors
//
// There are none: of text without a line comes an empty one.
package lastline

import (
	"regexp"
	"strings"
)

// longest is how much of a line is given: one of a JSON log may be of any length.
const longest = 300

var (
	// headline begins as runtimes head a stack: Error: no such file, TypeError [CODE]: ...,
	// Uncaught Error: ..., ValueError: ..., panic: ..., fatal error: ...
	headline = regexp.MustCompile(`^(?:Uncaught |fatal |runtime )?[\w.]*(?:[Ee]rror|Exception|panic)(?: \[\w+\])?: `)
	// telling is in any other line about an error.
	telling = regexp.MustCompile(`rror|panic`)
	// frame is a line of a stack, in the words of Node.
	frame = regexp.MustCompile(`^\s*at `)
)

// Of gives the first line of output that heads an error or, without one, that names
// one or, without one, the last. It passes over the frames of a stack. more says that
// output has other lines than this one.
func Of(output string) (line string, more bool) {
	var lines []string
	frames := false
	for text := range strings.Lines(output) {
		text = strings.TrimRight(text, "\r\n")
		switch {
		case strings.TrimSpace(text) == "":
		case frame.MatchString(text):
			frames = true
		default:
			lines = append(lines, text)
		}
	}
	if len(lines) == 0 {
		return "", frames
	}
	line = lines[len(lines)-1]
	if found := first(lines, headline); found != "" {
		line = found
	} else if found := first(lines, telling); found != "" {
		line = found
	}
	more = frames
	for _, other := range lines {
		more = more || other != line
	}
	return short(strings.TrimSpace(line)), more
}

func first(lines []string, like *regexp.Regexp) string {
	for _, line := range lines {
		if like.MatchString(line) {
			return line
		}
	}
	return ""
}

// short is the beginning of a line that is too long.
func short(line string) string {
	if len(line) <= longest {
		return line
	}
	return strings.ToValidUTF8(line[:longest], "") + "..."
}
