package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// clusterPage is docs/node-cluster.md: what programs found, by scenario, thing and release.
type clusterPage map[int]map[string]map[int]clusterFinding

// clusterFinding is one thing in Node's own cluster and under rondo.
type clusterFinding struct{ node, ours string }

func (p clusterPage) enter(row, release int, node, ours map[string]string) {
	if p[row] == nil {
		p[row] = map[string]map[int]clusterFinding{}
	}
	for _, found := range []map[string]string{node, ours} {
		for what := range found {
			if p[row][what] == nil {
				p[row][what] = map[int]clusterFinding{}
			}
			p[row][what][release] = clusterFinding{node[what], ours[what]}
		}
	}
}

// whole tells whether all was run, and not a part that someone chose.
func (p clusterPage) whole() bool {
	for i := range scenarios() {
		seen := map[int]bool{}
		for _, of := range p[i] {
			for release := range of {
				seen[release] = true
			}
		}
		if len(seen) != len(releases()) || len(seen) < 5 { // on another machine, or of one that is short of time
			return false
		}
	}
	return true
}

const clusterIntroduction = `# What a Node program finds under rondo

The same program ran as a worker of Node's own cluster and as one of rondo, unmodified, on each release of Node; what it found there must be
the same. *Expected* is what Node 26's own cluster gave, as JSON. In the column of a release, **same** is that under rondo; **as its own** is something else that
this release's own cluster gives too; anything else is what rondo gives instead, and the line below the table says why.
This page is written by the test that ran it: ` + "`go test ./e2e -run TestProgramsFindWhatNodesClusterGivesThem`" + `. *Stands for* are the tests of Node's own
(test/parallel/test-cluster-..., where no other prefix is said) whose purpose a scenario has for a worker.
`

const clusterEnd = `
## What is not in it

- Only the primary's, which is rondo's own business: worker-constructor, setup-primary and its variants, fork-env, fork-stdio, fork-windowsHide, cwd,
  primary-error, advanced-serialization, disconnect-with-no-workers, inspect-brk, inspector-debug-port.
- Of a kind that has its own test here: primary-kill (workers go on: ` + "`kill -9`" + ` of the master under load), accept-fail (out of descriptors), invalid-message
  (hostile workers), kill-infinite-loop (a worker that heeds nothing is killed after kill-timeout), net-listen-backlog
  (read back from the kernel), eaccess and bind-privileged-port (an errno of the master's, whatever it is), dgram-bind-fd and ` + "`listen({fd})`" + `
  (descriptors of the init system instead of the primary's), ipc-throw (a worker that throws is a worker that dies).
- test-child-process-fork-dgram, send-keep-open, pass-fd: what a worker's program sends along with a message the master closes, of whatever kind it is:
  no program runs in it that could take it. Nor has it sockets to send to a worker but connections.
`

func (p clusterPage) text() string {
	var b strings.Builder
	b.WriteString(clusterIntroduction)
	last := ""
	for i, row := range scenarios() {
		title, _, _ := strings.Cut(row.name, ":")
		if title != last {
			fmt.Fprintf(&b, "\n## %s\n\nStands for %s.\n\n| | expected |%s\n|---|---|%s\n", title, row.covers, columns(" Node %d |"), columns("---|"))
		}
		last = title
		for _, what := range slices.Sorted(maps.Keys(p[i])) {
			p.row(&b, what, p[i][what])
		}
		for _, why := range slices.Sorted(maps.Keys(reasons(row.differs))) {
			fmt.Fprintf(&b, "\n- %s: %s.", strings.Join(reasons(row.differs)[why], ", "), why)
		}
		if len(row.differs) > 0 {
			b.WriteString("\n")
		}
	}
	b.WriteString(clusterEnd)
	return b.String()
}

// row is one thing, on each release.
func (p clusterPage) row(b *strings.Builder, what string, of map[int]clusterFinding) {
	expected := of[26].node
	fmt.Fprintf(b, "| %s | %s |", cell(what), cell(expected))
	for _, release := range releases() {
		switch f := of[release]; {
		case f.ours == expected:
			b.WriteString(" same |")
		case f.ours == f.node:
			fmt.Fprintf(b, " as its own: %s |", cell(f.ours))
		default:
			fmt.Fprintf(b, " %s |", cell(f.ours))
		}
	}
	b.WriteString("\n")
}

// reasons are what differs, by why.
func reasons(differs map[string]string) map[string][]string {
	by := map[string][]string{}
	for _, what := range slices.Sorted(maps.Keys(differs)) {
		by[differs[what]] = append(by[differs[what]], what)
	}
	return by
}

// columns is format for each release.
func columns(format string) string {
	var b strings.Builder
	for _, release := range releases() {
		if strings.Contains(format, "%") {
			fmt.Fprintf(&b, format, release)
		} else {
			b.WriteString(format)
		}
	}
	return b.String()
}

// cell is text within a table of Markdown.
func cell(text string) string {
	if text == "" {
		return "nothing"
	}
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") || strings.HasPrefix(text, `"`) {
		text = "`" + text + "`"
	}
	return strings.ReplaceAll(text, "|", `\|`)
}
