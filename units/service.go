package units

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The versions of systemd that units differ by.
const (
	tellsStore   = 254 // $FDSTORE
	pollLimits   = 255 // PollLimitIntervalSec=, PollLimitBurst=
	disconnected = 257 // PrivateTmp=disconnected, and with it a DynamicUser= that keeps its /tmp
)

// serviceText is the service, without its first line.
func (a App) serviceText(groups []group) (string, error) {
	var t text
	a.serviceHeader(&t, groups)
	t.section("Unit")
	t.set("Description", a.Name+" (rondo)")
	a.order(&t, groups)
	t.comment("The sockets fail with a service that systemd gives up on. It never does.")
	t.set("StartLimitIntervalSec", "0")
	t.section("Service")
	a.life(&t, groups)
	a.surroundings(&t)
	a.limits(&t)
	a.confine(&t)
	if len(groups) == 0 {
		t.section("Install")
		t.set("WantedBy", a.bootTarget())
	}
	err := t.record(a)
	return t.b.String(), err
}

// serviceHeader says what systemctl does to the app.
func (a App) serviceHeader(t *text, groups []group) {
	t.comment(fmt.Sprintf("rondo install may write this file anew: change it by %s edit %s.", a.systemctl(), a.service()))
	t.b.WriteString("#\n")
	said := func(words, effect string) { t.item(a.systemctl() + " " + words + ": " + effect) }
	said("reload "+a.Name, "replaces the workers one by one by new ones, of "+a.Name+".toml and the program as they are on disk. "+
		"If a new one does not get ready it fails, and the old ones serve on. No connection is lost.")
	said("restart "+a.Name, "has a new master take the workers over, and replace them as reload does; this unit and its environment are then the new ones. "+
		"No connection is lost. How it went is in the status; use reload to be told.")
	finish := fmt.Sprintf("lets the workers finish for at most %s, and ends it.", seconds(a.DrainTimeout+a.KillTimeout))
	if len(groups) == 0 {
		said("stop "+a.Name, finish+" Then start is a clean slate.")
		return
	}
	said("stop "+a.service(), finish+" The socket stays, and its next connection starts the service again, on a clean slate.")
	said("stop "+groups[0].unit+" "+a.service(), "ends both, until "+groups[0].unit+" is started again.")
}

// order places the service among other units.
func (a App) order(t *text, groups []group) {
	names := unitNames(groups)
	t.set("Requires", nonempty(join(names))...)
	if !a.UserManager { // whose manager has no such target
		names = append([]string{"network.target"}, names...)
	}
	t.set("After", nonempty(join(names))...)
}

func nonempty(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// grace is what the manager waits longer than rondo does: rondo ends in time by
// itself, and says why.
const (
	startGrace = 15 * time.Second
	stopGrace  = 10 * time.Second
)

// life is how the service starts, reloads, stops and is restarted.
func (a App) life(t *text, groups []group) {
	t.set("Type", "notify")
	t.set("NotifyAccess", "main")
	if len(groups) > 1 {
		t.set("Sockets", join(unitNames(groups)))
	}
	if len(groups) > 0 {
		t.comment("Without it each start makes the sockets blocking, also for workers that have them.")
		t.set("NonBlocking", "yes")
	}
	t.set("ExecStart", word(a.Rondo)+" run --config "+argument(a.Config))
	t.set("ExecReload", word(a.privileged()+a.Rondo)+" reload "+a.Name)
	t.comment("The workers outlive a master that ends. What the next one needs to take them over is in the manager's store.")
	t.set("ExecStop", word(a.privileged()+a.Rondo)+" systemd-stop "+a.ofUser()+a.Name)
	t.set("ExecStopPost", word(a.privileged()+a.Rondo)+" systemd-sweep "+a.ofUser()+a.Name)
	t.set("KillMode", "process")
	t.set("FileDescriptorStoreMax", fmt.Sprint(a.Store))
	if a.Systemd < tellsStore {
		t.comment("Later versions of systemd tell this themselves.")
		t.set("Environment", fmt.Sprintf("FDSTORE=%d", a.Store))
	}
	t.comment("A master that does not get to serve takes two seconds to say so.")
	t.set("Restart", "on-failure")
	// Any other time is up to 250 ms longer than it says, for systemd's timers wait for one
	// another: with 100 ms a killed master was back after 380 ms, with 0 after 110. Where the
	// program is missing, systemd tries about 14 times a second.
	t.set("RestartSec", "0")
	t.comment("A worker that is killed for its memory is replaced: the others go on.")
	t.set("OOMPolicy", "continue")
	t.set("WatchdogSec", "30s")
	t.set("TimeoutStartSec", seconds(a.StartTimeout+startGrace))
	t.set("TimeoutStopSec", seconds(a.DrainTimeout+a.KillTimeout+stopGrace))
}

// privileged has rondo reload run as root, who may ask each master.
func (a App) privileged() string {
	if a.UserManager {
		return ""
	}
	return "+"
}

// surroundings are the account, the directories and the environment.
func (a App) surroundings(t *text) {
	t.set("RuntimeDirectory", "rondo/"+a.Name)
	t.set("RuntimeDirectoryPreserve", "restart")
	t.comment("If it is missing rondo says so.")
	t.set("WorkingDirectory", "-"+whole(a.Directory))
	switch {
	case a.User != "":
		t.set("User", a.User)
		t.set("Group", nonempty(a.Group)...)
	case !a.UserManager:
		t.set("DynamicUser", "yes")
	}
	for _, variable := range a.Environment {
		t.set("Environment", word(variable))
	}
	for _, file := range a.EnvironmentFiles {
		t.set("EnvironmentFile", whole(file))
	}
	for _, id := range slices.Sorted(maps.Keys(a.Credentials)) {
		t.set("LoadCredential", id+":"+whole(a.Credentials[id]))
	}
}

// ofUser is the option of commands that ask the user's manager.
func (a App) ofUser() string {
	if a.UserManager {
		return "--user "
	}
	return ""
}

func (a App) limits(t *text) {
	for _, l := range []struct {
		name  string
		value uint64
		unit  string
	}{{"LimitNOFILE", a.LimitNOFILE, ""}, {"MemoryMax", a.MemoryMax, ""}, {"TasksMax", a.TasksMax, ""}, {"CPUQuota", a.CPUQuota, "%"}} {
		if l.value > 0 {
			t.set(l.name, fmt.Sprint(l.value)+l.unit)
		}
	}
}

// confine writes the sandbox, and what it is without.
func (a App) confine(t *text) {
	t.b.WriteByte('\n')
	switch {
	case a.Unconfined:
		t.comment("Unconfined, by wish: rondo install without --unconfined writes a sandbox here.")
	case a.UserManager:
	case a.inTemporary():
		t.comment("Workers can write to what ReadWritePaths= names.")
	case a.User == "":
		t.comment("Workers can write to /tmp, /var/tmp and /dev/shm, which are their own, and to what ReadWritePaths= names.")
	default:
		t.comment("Workers can write to /tmp and /var/tmp, which are their own, and to what ReadWritePaths= names.")
	}
	for _, d := range a.sandbox() {
		t.set(d.name, d.value)
	}
	left := a.LeftOff()
	if len(left) > 0 {
		t.comment("Left off, and why:")
	}
	for len(left) > 0 { // one comment for all that share a reason
		var names []string
		reason := left[0].Reason
		left = slices.DeleteFunc(left, func(l LeftOff) bool {
			if l.Reason == reason {
				names = append(names, l.Name+"="+l.Value)
			}
			return l.Reason == reason
		})
		t.item(strings.Join(names, ", ") + ": " + reason)
	}
}

func (a App) bootTarget() string {
	if a.UserManager {
		return "default.target"
	}
	return "multi-user.target"
}

func join(names []string) string { return strings.Join(names, " ") }

// words are values for a directive that takes several.
func words(values []string) string {
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = word(value)
	}
	return join(list)
}

// seconds is d as systemd writes it, rounded up: it is a bound.
func seconds(d time.Duration) string { return fmt.Sprintf("%ds", (d+time.Second-1)/time.Second) }
