package install

import (
	"slices"
	"strings"
)

// A Change is a file that is written, replaced or removed.
type Change struct {
	Path string
	Old  string // "" when there is none
	New  string // "" when it is removed
}

// Lines are what differs, each with "- " or "+ " before it. The comments and what
// rondo keeps for itself are left out, if not all the difference is there.
func (c Change) Lines() []string {
	lines := difference(meaning(c.Old), meaning(c.New))
	if len(lines) == 0 {
		lines = []string{"(comments only)"}
	}
	return lines
}

// Matters says whether a program would heed the difference.
func (c Change) Matters() bool { return len(difference(meaning(c.Old), meaning(c.New))) > 0 }

// meaning are the lines of text that a program would heed.
func meaning(text string) []string {
	text, _, _ = strings.Cut(text, "\n[X-Rondo]\n")
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != ';' && !strings.HasPrefix(line, "<!--") {
			lines = append(lines, line)
		}
	}
	return lines
}

// difference is the shortest way from old to new, by the table of longest common
// subsequences: units are short.
func difference(old, new []string) []string {
	common := make([][]int, len(old)+1)
	for i := range common {
		common[i] = make([]int, len(new)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(new) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if old[i] == new[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var lines []string
	i, j := 0, 0
	for i < len(old) || j < len(new) {
		switch {
		case i < len(old) && j < len(new) && old[i] == new[j]:
			i, j = i+1, j+1
		case j == len(new) || i < len(old) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "- "+old[i])
			i++
		default:
			lines = append(lines, "+ "+new[j])
			j++
		}
	}
	return lines
}

// socketSection are the lines that a socket unit must be restarted for.
func socketSection(text string) []string {
	lines := meaning(text)
	start := slices.Index(lines, "[Socket]")
	if start < 0 {
		return nil
	}
	lines = lines[start+1:]
	if end := slices.IndexFunc(lines, func(line string) bool { return line[0] == '[' }); end >= 0 {
		lines = lines[:end]
	}
	return lines
}
