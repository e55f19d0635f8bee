package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rondokit/rondo/master"
)

// statusTable is s for people.
func statusTable(s status) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, printable(headline(s.Status)))
	if s.Reload != nil {
		fmt.Fprintln(&b, printable(reloadLine(*s.Reload)))
	}
	if u := s.Upgrade; u != nil && u.Error != nil {
		fmt.Fprintln(&b, printable("upgrade: failed: "+oneLine(errors.New(*u.Error))))
	}
	if s.Refused != nil {
		fmt.Fprintln(&b, printable("not adopted: "+oneLine(errors.New(*s.Refused))))
	}
	c := s.Counters
	fmt.Fprintf(&b, "connections: %d handed over, %d redistributed, %d ambiguous, %d closed undelivered\n",
		c.HandedOver, c.Redistributed, c.Ambiguous, c.ClosedUndelivered)
	if len(s.Listeners) > 0 {
		table(&b, listenerRows(s.Listeners))
	}
	if len(s.Workers) > 0 {
		table(&b, workerRows(s.Workers))
	}
	for _, w := range s.Workers {
		if len(w.Opened) > 0 {
			fmt.Fprintln(&b, printable(fmt.Sprintf("worker %d listens by itself on %s (exclusive, or reusePort): a reload does not keep that open", w.ID, strings.Join(w.Opened, ", "))))
		}
	}
	return b.Bytes()
}

func headline(s master.Status) string {
	ready := 0
	for _, w := range s.Workers {
		if w.State == "ready" {
			ready++
		}
	}
	text := fmt.Sprintf("%s: %s, generation %d, %s ready, pid %d, rondo %s", s.Name, s.State, s.Generation, counted(ready, "worker"), s.PID, s.Version)
	if s.ScaledFrom != nil {
		text += fmt.Sprintf("; scaled from %d", *s.ScaledFrom)
	}
	if s.Adopted > 0 {
		text += fmt.Sprintf("; adopted %d", s.Adopted)
	}
	return text
}

// counted is n of things, of which one is called thing.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func reloadLine(r master.Reload) string {
	text := "reload: " + r.State
	if r.Ended != nil {
		text += " at " + *r.Ended
	}
	if r.Cut > 0 {
		text += fmt.Sprintf(", %s cut by drain-timeout", counted(r.Cut, "worker"))
	}
	if r.Error != nil {
		text += ": " + strings.Join(strings.Fields(*r.Error), " ")
	}
	return text
}

func listenerRows(listeners []master.Listener) [][]string {
	rows := [][]string{{"LISTENER", "ADDRESS", "FROM", "ACCEPTING", "WAITING"}}
	for _, l := range listeners {
		from, accepting := "own", "no"
		if l.Passed {
			from = "passed"
		}
		switch {
		case l.Accepting && l.Schedule == "none":
			accepting = "workers"
		case l.Accepting:
			accepting = "yes"
		}
		rows = append(rows, []string{orDash(l.Name), l.Address, from, accepting, strconv.Itoa(l.Waiting)})
	}
	return rows
}

func workerRows(workers []master.Worker) [][]string {
	rows := [][]string{{"SLOT", "WORKER", "PID", "GENERATION", "STATE", "AGE", "HANDED OVER", "IN FLIGHT", "RESTARTS", "LAST EXIT"}}
	for _, w := range workers {
		last := ""
		if w.LastExit != nil {
			last = w.LastExit.Reason
		}
		rows = append(rows, []string{strconv.Itoa(w.Slot), numberOrNone(w.ID), numberOrNone(w.PID), strconv.Itoa(w.Generation),
			w.State, age(w.AgeS), strconv.FormatUint(w.HandedOver, 10), strconv.Itoa(w.InFlight), strconv.Itoa(w.Restarts), orDash(last)})
	}
	return rows
}

// age is short: the seconds of a worker that runs for days are of no interest.
func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// table writes rows below an empty line, each on one line whatever a cell has.
func table(b *bytes.Buffer, rows [][]string) {
	b.WriteByte('\n')
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable(cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	w.Flush() // into b, which takes everything
}

// numberOrNone is a dash for a slot that waits for its next worker.
func numberOrNone(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}
