package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/internal/install"
	"github.com/rondokit/rondo/internal/launchctl"
	"github.com/rondokit/rondo/master"
)

// withLaunchd is withMachine for launchd.
func (m *machine) withLaunchd(cmd *cobra.Command, changes bool, do func(context.Context, *install.Launchd) error) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := m.launchd()
	if err != nil {
		return err
	}
	if changes {
		if err := launchctl.Check(); err != nil {
			return err
		}
		if err := needsRoot(m.scope(), os.Geteuid(), os.Args); err != nil {
			return err
		}
		unlock, err := l.Lock(ctx, waiting(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		defer unlock()
	}
	return do(ctx, l)
}

// launchd makes the Launchd of m.
func (m *machine) launchd() (*install.Launchd, error) {
	domain := launchctl.System
	if m.user {
		domain = launchctl.GUI(os.Getuid())
	}
	paths, err := install.LaunchdPathsOf(domain)
	if err != nil {
		return nil, err
	}
	if m.rondo == "" {
		if m.rondo, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	return &install.Launchd{
		Domain: domain, Paths: paths, Accounts: install.OSAccounts(), Version: master.Version, Rondo: m.rondo,
		Try: tryAs,
	}, nil
}

// installForLaunchd plans and, unless it is a dry run, applies.
func (in *installing) installForLaunchd(ctx context.Context, l *install.Launchd) error {
	if err := install.CheckLastingRondo(in.rondo); err != nil {
		return err
	}
	p, err := l.Plan(ctx, in.req)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("install: interrupted, and nothing was changed: %w", err)
	}
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return in.carryOutForLaunchd(ctx, l, p)
}

// refreshForLaunchd brings the apps called names up to date, or all.
func (in *installing) refreshForLaunchd(ctx context.Context, l *install.Launchd, names []string) error {
	if err := install.CheckLastingRondo(in.rondo); err != nil {
		return err
	}
	names, err := installed(l, names, in.out)
	errs := []error{err}
	for _, name := range names {
		p, err := l.Refresh(ctx, name, in.req.Overwrite)
		if err != nil {
			errs = append(errs, fmt.Errorf("install: %w", err))
			continue
		}
		errs = append(errs, in.carryOutForLaunchd(ctx, l, p))
	}
	return errors.Join(errs...)
}

// carryOutForLaunchd says what p is and, unless it is a dry run, applies it.
func (in *installing) carryOutForLaunchd(ctx context.Context, l *install.Launchd, p *install.LaunchdPlan) error {
	r := launchdReport{printer{in.out}, l, p}
	p.Reopen = in.applySockets
	switch takes := p.Reopen && !p.Loaded; {
	case len(p.Changes) == 0 && !takes:
		r.unchanged()
		return nil
	case in.dryRun:
		r.dryRun()
		return nil
	}
	if !p.First {
		r.differences(p.Changes)
	}
	if p.Reopen && p.Reopens {
		r.line("%s", r.gap()) // for which it may have to wait
	}
	job, err := l.Apply(ctx, p)
	switch {
	case errors.Is(err, install.ErrAnew):
		return fmt.Errorf("install: nothing was changed: %w; %s; with --apply-sockets that is done", err, r.gap())
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("install: %s: interrupted: %w", p.App.Name, err)
	case err != nil:
		return fmt.Errorf("install: %s: %w", p.App.Name, err)
	}
	r.done(job)
	return nil
}
