// bench measures rondo beside what people would otherwise run, in one run, and writes a
// report. make bench and make bench-quick build what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/bench/measure"
	"github.com/rondokit/rondo/bench/report"
	"github.com/rondokit/rondo/bench/result"
	"github.com/rondokit/rondo/bench/side"
)

func main() {
	o, err := parseOptions(os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench takes the measures and writes the report, also of a run in which some failed.
func bench(ctx context.Context, o options) (err error) {
	if err := prepareProcess(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "rondo-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &measure.Bench{Plan: o.plan, Host: &side.Host{Rondo: o.rondo, Hello: o.hello, Apps: o.apps, NPM: o.npm, Dir: dir}}
	run := &result.Run{Command: o.command, Quick: o.plan.Quick, Began: time.Now(), Measures: measure.Describe(o.measures)}
	if run.Machine, err = describe(ctx, b.Host); err != nil {
		return err
	}
	run.Samples, run.Failures, err = b.Take(ctx, o.measures, os.Stderr)
	if err != nil {
		return err
	}
	run.Took = time.Since(run.Began).Round(time.Second).String()
	if err := report.Markdown(os.Stdout, run); err != nil {
		return err
	}
	if err := report.Write(o.out, run); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "bench: %s in %s\n", filepath.Join(o.out, "report.md"), run.Took)
	if n, most := run.Disturbed(); n > 0 {
		fmt.Fprintf(os.Stderr, "bench: WARNING: the machine was busy with others in %d of %d samples (at most %.0f%% of its processors): the figures may be off\n",
			n, len(run.Samples), most*100)
	}
	if len(run.Failures) > 0 {
		return fmt.Errorf("%d samples failed, the first: %s, %s: %s", len(run.Failures), run.Failures[0].Measure, run.Failures[0].Subject, run.Failures[0].Error)
	}
	return nil
}

// prepareProcess makes what sides leave behind children of this process, lets them open
// as many descriptors as there may be, and finds the proxies where Debian has them.
func prepareProcess() error {
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin"); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	const wanted = 20_000 // 10 000 connections, and two each in a proxy
	limit.Cur = limit.Max
	if limit.Max < wanted {
		limit = unix.Rlimit{Cur: wanted, Max: wanted}
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit of open descriptors is %d and %d are needed: %w", limit.Max, wanted, err)
	}
	return nil
}
