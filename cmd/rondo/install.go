package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/install"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/systemd"
	"github.com/rondokit/rondo/master"
)

// installing is one call of rondo install.
type installing struct {
	machine
	req                  install.Request
	dryRun, applySockets bool
	out                  io.Writer
}

func newInstall() *cobra.Command {
	var in installing
	refresh := false
	cmd := &cobra.Command{
		Use:   "install [flags] -- COMMAND [ARG...]",
		Short: "Have systemd or launchd open the sockets and run COMMAND's workers behind them",
		Long: "Install writes NAME.toml, NAME.socket and NAME.service, and starts the socket: the service starts\n" +
			"with the first connection. All is tried before anything is written, and a fault takes all back.\n" +
			"Called again, it shows what differs and changes that alone: say all the flags each time,\n" +
			"for RONDO_ variables do not count here. NAME.toml may be edited: a reload applies it.\n" +
			"With --refresh it takes NAMEs, and brings the units of those apps, or of all, up to date.\n" +
			"With --init launchd a property list, rondo.NAME.plist, is in the place of the units, and a --dry-run\n" +
			"works on any system. launchd has no sandbox, and takes another property list only with --apply-sockets." + initHelp,
		Example:           "sudo rondo install --name app --listen 80=3000 -- node server.js",
		ValidArgsFunction: completeInstall,
		RunE: func(cmd *cobra.Command, args []string) error {
			in.out = cmd.OutOrStdout()
			if refresh {
				return in.refresh(cmd, args)
			}
			if len(args) == 0 {
				return usageError{errors.New("install: no command: say what to run, as in: sudo rondo install --name app --listen 80=3000 -- node server.js")}
			}
			in.req.Command = args
			if in.init == byLaunchd {
				return in.withLaunchd(cmd, !in.dryRun, in.installForLaunchd)
			}
			return in.withMachine(cmd, !in.dryRun, in.install)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.SetInterspersed(false) // what follows COMMAND is COMMAND's
	addInit(cmd, &in.init)
	flags.BoolVar(&in.user, "user", false, "for this user's manager instead of the system's")
	flags.BoolVar(&in.dryRun, "dry-run", false, "print what would be written, and change nothing")
	flags.BoolVar(&refresh, "refresh", false, "bring the units of installed apps up to date with this rondo, systemd and NAME.toml")
	flags.BoolVar(&in.applySockets, "apply-sockets", false, "open sockets anew whose addresses change, for which the service must stop")
	flags.BoolVar(&in.req.Overwrite, "overwrite", false, "give up what was edited by hand in files that must change")
	flags.StringVar(&in.rondo, "rondo", "", "`PATH` of rondo in the units (default this one)")
	addRequest(flags, &in.req)
	return cmd
}

// newTrial is the process that tries an install as the app's account.
func newTrial() *cobra.Command {
	return &cobra.Command{
		Use:    "install-trial",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return install.Attempt(cmd.InOrStdin(), cmd.OutOrStdout(), checkSettings)
		},
	}
}

// lastWords asks the journal, as far as this user may read it.
func (m *machine) lastWords(ctx context.Context, service, invocation string, since time.Time) string {
	args := []string{"--quiet", "--no-pager", "--output=cat", "--boot", "--priority=err", "--lines=1", saidAtTheEnd, saidByRun}
	if invocation != "" {
		args = append(args, saidIn+invocation)
	}
	if !since.IsZero() {
		args = append(args, "--since="+journalTimeOf(since))
	}
	args = append(args, m.scope().UnitLog(service)...)
	text, err := exec.CommandContext(ctx, "journalctl", args...).Output()
	if err != nil {
		return "" // it may not be read, or is not there
	}
	return strings.TrimSpace(string(text))
}

func checkSettings(s settings.Settings, sockets []activation.Socket) error {
	return master.Check(master.Config{Settings: s, Sockets: sockets})
}

// A machine is what install, uninstall and doctor are told of theirs.
type machine struct {
	init  initSystem
	user  bool
	rondo string
	*install.Machine
}

func (m *machine) scope() systemd.Scope {
	if m.user {
		return systemd.User
	}
	return systemd.System
}

// withMachine connects to the manager and does what is to be done, which SIGINT
// and SIGTERM interrupt in an orderly way. What changes the machine is done by one
// process at a time.
func (m *machine) withMachine(cmd *cobra.Command, changes bool, do func(context.Context) error) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	manager, err := systemd.Connect(ctx, m.scope())
	if err != nil {
		return err
	}
	defer manager.Close()
	if changes {
		if err := needsRoot(m.scope(), os.Geteuid(), os.Args); err != nil {
			return err
		}
	}
	if err := m.open(); err != nil {
		return err
	}
	m.Manager = manager
	if changes {
		unlock, err := m.Lock(ctx, waiting(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		defer unlock()
	}
	return do(ctx)
}

// waiting tells whom an install waits for.
func waiting(out io.Writer) func(who string) {
	return func(who string) {
		fmt.Fprintf(out, "rondo: waiting for another rondo (%s), which changes this machine\n", who)
	}
}

// tryAs carries out a Trial by newTrial.
func tryAs(ctx context.Context, t install.Trial) error { return install.TryAs(ctx, t, "install-trial") }

// open makes the Machine, without a manager.
func (m *machine) open() error {
	paths, err := install.PathsOf(m.scope())
	if err != nil {
		return err
	}
	if m.rondo == "" {
		if m.rondo, err = os.Executable(); err != nil {
			return err
		}
	}
	m.Machine = &install.Machine{
		Scope: m.scope(), Paths: paths, Accounts: install.OSAccounts(), Version: master.Version, Rondo: m.rondo,
		Try:       tryAs,
		Check:     checkSettings,
		Closed:    install.ClosedAddresses,
		LastWords: m.lastWords,
	}
	return nil
}

// needsRoot says how to get the right to change the system's units.
func needsRoot(scope systemd.Scope, euid int, args []string) error {
	if scope == systemd.User || euid == 0 {
		return nil
	}
	return fmt.Errorf("%s changes the system, which only root may: %s; or add --user for your own manager", args[1], bySudo(args))
}

// bySudo is a command line for a shell, to be run as root.
func bySudo(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = shellWord(arg)
	}
	return "sudo " + strings.Join(words, " ")
}

// shellWord is text as one word of a shell's command line.
func shellWord(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_"
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// install plans and, unless it is a dry run, applies.
func (in *installing) install(ctx context.Context) error {
	if err := install.CheckRondo(in.rondo, in.scope()); err != nil {
		return err
	}
	p, err := in.Plan(ctx, in.req)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("install: interrupted, and nothing was changed: %w", err)
	}
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return in.carryOut(ctx, p)
}

// carryOut says what p is and, unless it is a dry run, applies it.
func (in *installing) carryOut(ctx context.Context, p *install.Plan) error {
	name := p.App.Name
	r := report{printer{in.out}, in.Machine, p}
	if opens := in.applySockets && len(p.Shut) > 0; len(p.Changes) == 0 && !opens {
		r.unchanged()
		r.opened(ctx)
		return nil
	}
	if in.dryRun {
		r.dryRun()
		return nil
	}
	if !p.First {
		r.differences(p.Changes)
	}
	if p.Reopen = in.applySockets; p.Reopen && len(p.Reopens) > 0 {
		r.line("%s", r.gap()) // for which it may have to wait
	}
	began := time.Now()
	list, err := in.Apply(ctx, p)
	if errors.Is(err, install.ErrReopen) {
		return fmt.Errorf("install: nothing was changed: %w; %s; with --apply-sockets that is done", err, r.gap())
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("install: %s: interrupted: %w", name, err)
	}
	if err != nil {
		return fmt.Errorf("install: %s: %w", name, withLastLines(ctx, err, began))
	}
	r.done(list)
	if !p.First {
		r.opened(ctx)
	}
	return nil
}

// refresh brings the apps called names up to date, or all. One that cannot be does
// not keep the others from it.
func (in *installing) refresh(cmd *cobra.Command, names []string) error {
	if len(in.req.Flags) > 0 {
		return usageError{errors.New("install: --refresh takes the settings from NAME.toml: leave them out, or leave --refresh out")}
	}
	if cmd.ArgsLenAtDash() >= 0 {
		return usageError{errors.New("install: --refresh takes names of apps and no command, like: sudo rondo install --refresh app")}
	}
	for _, name := range names {
		if err := settings.CheckName(name); err != nil {
			return usageError{fmt.Errorf("install: --refresh takes names of apps: %w", err)}
		}
	}
	if in.init == byLaunchd {
		return in.withLaunchd(cmd, !in.dryRun, func(ctx context.Context, l *install.Launchd) error {
			return in.refreshForLaunchd(ctx, l, names)
		})
	}
	return in.withMachine(cmd, !in.dryRun, func(ctx context.Context) error {
		if err := install.CheckRondo(in.rondo, in.scope()); err != nil {
			return err
		}
		names, err := installed(in.Machine, names, in.out)
		errs := []error{err}
		for _, name := range names {
			p, err := in.Refresh(ctx, name, in.req.Overwrite)
			if err != nil {
				errs = append(errs, fmt.Errorf("install: %w", err))
				continue
			}
			errs = append(errs, in.carryOut(ctx, p))
		}
		return errors.Join(errs...)
	})
}

// installed gives names or, where there are none, those of all apps; and says so if there
// are none of those.
func installed(m interface{ Names() ([]string, error) }, names []string, out io.Writer) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	names, err := m.Names()
	if err == nil && len(names) == 0 {
		fmt.Fprintln(out, "nothing is installed")
	}
	return names, err
}
