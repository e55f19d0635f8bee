//go:build linux

package machine

// allowed is the one list of messages of WARNING or worse that a machine may log.
// An entry without a name may be logged by any machine; one with a name only where
// a test says so by [Machine.Expect], which then must be seen. Only digits may vary
// in a message, so an entry allows one message and not a kind of messages.
var allowed = []allowance{
	{
		identifier: "dbus-daemon",
		message:    `^\[system\] org\.freedesktop\.DBus\.Error\.AccessDenied: Failed to set fd limit to \d+: Operation not permitted$`,
		reason: "bookworm's bus, where the host's root has a low hard limit of descriptors and not CAP_SYS_RESOURCE, " +
			"as in a container; the bus does with what it has",
	},
	{
		identifier: "app",
		message:    `^drain ended by drain-timeout worker=\d+ slot=\d+ pid=\d+ generation=\d+ took=\d+s$`,
		reason: "a Node server does not end a kept connection that is busy when it closes: a client that goes on using " +
			"it holds the worker until drain-timeout, which is cut and not lost",
	},
	{
		name:       "worker died",
		identifier: "app",
		message:    `^worker died worker=\d+ slot=\d+ pid=\d+ generation=\d+ err="exited with code \d+"$`,
		reason:     "the program under test exits when it starts",
	},
	{
		name:       "localhost by IPv6 too",
		identifier: "app",
		message:    `^worker cannot listen worker=\d+ slot=\d+ pid=\d+ generation=\d+ listener=\[::1\]:3000 errno=EADDRINUSE err="it has this listener open already"$`,
		reason:     "the program listens on each address of localhost, for which there is one socket, and takes it that it cannot",
	},
	{
		name:       "localhost by IPv4 too",
		identifier: "app",
		message:    `^worker cannot listen worker=\d+ slot=\d+ pid=\d+ generation=\d+ listener=127\.0\.0\.1:3000 errno=EADDRINUSE err="it listens on app\.socket@\[::\]:8080 already"$`,
		reason:     "likewise",
	},
	{
		name:       "reload failed",
		identifier: "app",
		message:    `^reload failed; the old generation serves on generation=\d+ err="worker of slot \d+ \(generation \d+\) exited with code \d+; its last output: journalctl -t app/\d+ -n \d+"$`,
		reason:     "the test deploys a program that does not start",
	},
	{
		name:       "no SCHED_BATCH",
		identifier: "app",
		message:    `^the master runs without SCHED_BATCH, which costs speed: allow sched_setattr, or set master-policy to inherit err="operation not permitted"$`,
		reason:     "the test has the unit filter the system call out",
	},
	{
		name:       "rpm's scriptlet failed",
		identifier: "[RPM]",
		message:    `^scriptlet %post\(app-1\.2\.0-1\.x86_64\) failure: \d+$`,
		reason:     "the test installs an rpm of a program that does not start; rpm 4.20 logs it",
	},
	{
		name:       "rpm's transaction failed",
		identifier: "[RPM]",
		message:    `^\d+ elements failed, \d+ scripts failed$`,
		reason:     "likewise",
	},
	{
		name:       "systemctl reload failed",
		identifier: "systemd",
		message:    `^Reload failed for app\.service - app \(rondo\)\.$`,
		reason:     "the test deploys a program that does not start, by systemctl reload",
	},
	{
		name:       "service starts in vain",
		identifier: "systemd",
		message:    `^app\.service: Failed with result 'exit-code'\.$`,
		reason:     "the program under test does not start, so rondo exits and is started again",
	},
	{
		name:       "start failed",
		identifier: "systemd",
		message:    `^Failed to start app\.service - app \(rondo\)\.$`,
		reason:     "the program under test does not start, so rondo exits and is started again",
	},
	{
		name:       "start's last words",
		identifier: "app",
		message:    `^every worker died \d+ times before it was ready; the last one exited with code \d+; its last output: journalctl -t app/\d+ -n \d+$`,
		reason:     "the program under test does not start, so rondo exits and says why",
	},
	{
		name:       "socket not opened",
		identifier: "systemd",
		message:    `^app\.socket: Failed to create listening socket \(/etc/passwd/app\.sock\): Not a directory$`,
		reason:     "the test installs a unix socket at a path where none can be",
	},
	{
		name:       "socket not opened, again",
		identifier: "systemd",
		message:    `^app\.socket: Failed to listen on sockets: Not a directory$`,
		reason:     "the test installs a unix socket at a path where none can be",
	},
	{
		name:       "socket failed",
		identifier: "systemd",
		message:    `^app\.socket: Failed with result 'resources'\.$`,
		reason:     "the test installs a unix socket at a path where none can be",
	},
	{
		name:       "socket not started",
		identifier: "systemd",
		message:    `^Failed to listen on app\.socket - app sockets \(rondo\)\.$`,
		reason:     "the test installs a unix socket at a path where none can be",
	},
	{
		name:       "settings' last words",
		identifier: "app",
		message:    `^/etc/rondo/app\.toml:\d+: unknown key "wokers": did you mean "workers"\?$`,
		reason:     "the test makes a slip in the settings, so rondo exits and says where",
	},
	{
		name:       "reload's last words",
		identifier: "app",
		message:    `^reload: worker of slot \d+ \(generation \d+\) exited with code \d+; its last output: this deploy is broken$`,
		reason:     "the test deploys a program that does not start, by systemctl reload: what rondo reload says of it, with the program's words",
	},
	{
		name:       "worker cannot listen",
		identifier: "app",
		message: `^worker cannot listen worker=\d+ slot=\d+ pid=\d+ generation=\d+ listener=:\d+ errno=EADDRNOTAVAIL ` +
			`err="the init system passed no socket for it; passed are: app\.socket@\[::\]:\d+; to serve it from one of them: --listen fd:app\.socket=\d+; to open it here: --bind"$`,
		reason: "the program under test listens on another port than its listener is mapped to",
	},
	{
		name:       "worker that cannot listen died",
		identifier: "app",
		message: `^worker died worker=\d+ slot=\d+ pid=\d+ generation=\d+ err="could not listen on :\d+: ` +
			`the init system passed no socket for it; passed are: app\.socket@\[::\]:\d+; to serve it from one of them: --listen fd:app\.socket=\d+; to open it here: --bind; ` +
			`exited with code \d+"$`,
		reason: "the program under test listens on another port than its listener is mapped to, and ends",
	},
	{
		name:       "mapping's last words",
		identifier: "app",
		message: `^every worker died \d+ times before it was ready; the last one could not listen on :\d+: ` +
			`the init system passed no socket for it; passed are: app\.socket@\[::\]:\d+; to serve it from one of them: --listen fd:app\.socket=\d+; to open it here: --bind; ` +
			`exited with code \d+; its last output: journalctl -t app/\d+ -n \d+$`,
		reason: "the program under test listens on another port than its listener is mapped to, so rondo exits and says why",
	},
	{
		name:       "nobody listens",
		identifier: "app",
		message: `^no worker listens on it: its connections wait for ever; map it with --listen, or remove it from the socket unit ` +
			`listener=other@\[::\]:\d+ listen="fd:other=\d+"$`,
		reason: "the program under test listens on one port, and another listener is mapped to another",
	},
	{
		name:       "port in use",
		identifier: "(sd-listen)",
		message:    `^app\.socket: Failed to create listening socket \(\[::\]:\d+\): Address already in use$`,
		reason:     "another process has the port of the socket that the test starts",
	},
	{
		name:       "socket not received",
		identifier: "systemd",
		message:    `^app\.socket: Failed to receive listening socket \(\[::\]:\d+\): Input/output error$`,
		reason:     "the same, as the manager tells it besides",
	},
	{
		name:       "socket not opened beside the service",
		identifier: "systemd",
		message: `^app\.socket: Socket unit configuration has changed while unit has been running, and some socket file descriptors have not been opened yet\. ` +
			`The socket unit is not fully functional until restarted\.$`,
		reason: "a drop-in of the test adds an address to a socket that listens",
	},
	{
		name:       "socket without its file",
		identifier: "systemd",
		message: `^app\.socket: Socket unit configuration has changed while unit has been running, no open socket file descriptor left\. ` +
			`The socket unit is not functional until restarted\.$`,
		reason: "the test removes the file of a socket that listens, or gives it another address",
	},
	{
		name:       "nobody listens on more",
		identifier: "app",
		message: `^no worker listens on it: its connections wait for ever; map it with --listen, or remove it from the socket unit ` +
			`listener=app\.socket@127\.0\.0\.1:\d+ listen="fd:app\.socket=\d+"$`,
		reason: "a drop-in of the test adds an address that NAME.toml does not map",
	},
	{
		name:       "socket fails for it",
		identifier: "systemd",
		message:    `^app\.socket: Failed to listen on sockets: Input/output error$`,
		reason:     "another process has the port of the socket that the test starts",
	},
	{
		name:       "socket fails",
		identifier: "systemd",
		message:    `^app\.socket: Failed with result 'resources'\.$`,
		reason:     "another process has the port of the socket that the test starts",
	},
	{
		name:       "socket does not listen",
		identifier: "systemd",
		message:    `^Failed to listen on app\.socket - app sockets \(rondo\)\.$`,
		reason:     "another process has the port of the socket that the test starts",
	},
	{
		name:       "stopped master",
		identifier: "app",
		message: `^systemd-stop: the master did not leave for the restart, so the service drains as for a stop: ` +
			`/run/rondo/app/control\.sock: process \d+ has not ended after \d+s$`,
		reason: "the test stops the master by SIGSTOP, and has systemd restart it",
	},
	{
		name:       "trigger limit",
		identifier: "systemd",
		message:    `^app\.socket: Trigger limit hit, refusing further activation\.$`,
		reason:     "a drop-in of the test limits how often the socket may start the service, which does not start",
	},
	{
		name:       "trigger limit result",
		identifier: "systemd",
		message:    `^app\.socket: Failed with result 'trigger-limit-hit'\.$`,
		reason:     "a drop-in of the test limits how often the socket may start the service, which does not start",
	},
	{
		name:       "worker killed",
		identifier: "app",
		message:    `^worker died worker=\d+ slot=\d+ pid=\d+ generation=\d+ err="was killed by SIGKILL"$`,
		reason:     "the test kills a worker",
	},
	{
		name:       "worker out of memory",
		identifier: "app",
		message: `^worker died worker=\d+ slot=\d+ pid=\d+ generation=\d+ ` +
			`err="was killed by SIGKILL: out of memory \(oom_kill rose to \d+ in /run/memory/rondo-e2e-\d+/memory\.oom_control\)"$`,
		reason: "the test lets a worker take more memory than its service may have",
	},
	{
		name:       "watchdog",
		identifier: "systemd",
		message:    `^app\.service: Watchdog timeout \(limit \d+s\)!$`,
		reason:     "the test stops the master, which then does not ping the watchdog",
	},
	{
		name:       "watchdog result",
		identifier: "systemd",
		message:    `^app\.service: Failed with result 'watchdog'\.$`,
		reason:     "the test stops the master, which then does not ping the watchdog",
	},
	{
		name:       "worker trapped",
		identifier: "app",
		message:    `^worker died worker=\d+ slot=\d+ pid=\d+ generation=\d+ err="was killed by SIGTRAP"$`,
		reason:     "the test forbids Node to write code and run it, at which it kills itself",
	},
	{
		name:       "trap's last words",
		identifier: "app",
		message:    `^every worker died \d+ times before it was ready; the last one was killed by SIGTRAP; its last output: journalctl -t app/\d+ -n \d+$`,
		reason:     "the test forbids Node to write code and run it, so rondo exits and says why",
	},
	{
		name:       "directory not shown",
		identifier: "app",
		message:    `^directory: stat /home/web/app: permission denied$`,
		reason:     "the test hides the homes from an app in one",
	},
	{
		name:       "directory not there",
		identifier: "app",
		message:    `^directory: stat /var/tmp/app: no such file or directory$`,
		reason:     "the test gives an app in /var/tmp another /var/tmp",
	},
	{
		name:       "main process killed",
		identifier: "systemd",
		message:    `^app\.service: Main process exited, code=killed, status=9/KILL$`,
		reason:     "the test kills the main process",
	},
	{
		name:       "killed result",
		identifier: "systemd",
		message:    `^app\.service: Failed with result 'signal'\.$`,
		reason:     "the test kills the main process",
	},
	{
		name:       "left behind means",
		identifier: "systemd",
		message:    `^This usually indicates unclean termination of a previous run, or service implementation deficiencies\.$`,
		reason:     "the test has a service leave a process behind",
	},
	{
		name:       "step EXEC",
		identifier: "(rondo)",
		message:    `^app\.service: Failed at step EXEC spawning /usr/local/bin/rondo: No such file or directory$`,
		reason:     "the test gives the service a root directory without programs; systemd 252 cannot log it from there",
	},
	{
		name:       "step CAPABILITIES",
		identifier: "(rondo)",
		message:    `^app\.service: Failed at step CAPABILITIES spawning /usr/local/bin/rondo: Operation not permitted$`,
		reason:     "the test has a user's manager take capabilities away, which it may not",
	},
	{
		name:       "capabilities kept",
		identifier: "(rondo)",
		message:    `^app\.service: Failed to drop capabilities: Operation not permitted$`,
		reason:     "the same, as the manager tells it besides",
	},
	{
		name:       "step NAMESPACE",
		identifier: "(rondo)",
		message:    `^app\.service: Failed at step NAMESPACE spawning /usr/local/bin/rondo: Operation not supported$`,
		reason:     "the test has a user's manager of systemd 252 mount a file system, which it may not",
	},
	{
		name:       "no mounts",
		identifier: "(rondo)",
		message:    `^app\.service: Failed to set up mount namespacing: Operation not supported$`,
		reason:     "the same, as systemd 252 tells it besides",
	},
	{
		name:       "no host name",
		identifier: "(rondo)",
		message:    `^app\.service: ProtectHostname=yes is configured, but UTS namespace setup is prohibited \(container manager\?\), ignoring namespace setup\.$`,
		reason:     "the test has a user's manager of systemd 252 make a namespace, which it may not",
	},
	{
		name:       "no network",
		identifier: "(rondo)",
		message:    `^app\.service: PrivateNetwork=yes is configured, but network namespace setup failed, ignoring: Operation not permitted$`,
		reason:     "the test has a user's manager of systemd 252 make a namespace, which it may not",
	},
	{
		name:       "step NAMESPACE for the kernel's log",
		identifier: "(rondo)",
		message:    `^app\.service: Failed at step NAMESPACE spawning /usr/local/bin/rondo: No such file or directory$`,
		reason:     "the test has a user's manager of systemd 257 hide /proc/kmsg, which it cannot where systemd-nspawn has",
	},
	{
		name:       "kernel's log not hidden",
		identifier: "(rondo)",
		message:    `^app\.service: Failed to set up mount namespacing: /proc/kmsg: No such file or directory$`,
		reason:     "the same, as systemd 257 tells it besides",
	},
	{
		name:       "kernel's log not mounted",
		identifier: "(rondo)",
		message:    `^Failed to mount /run/user/\d+/systemd/inaccessible/fifo to /run/systemd/mount-rootfs/proc/kmsg: No such file or directory$`,
		reason:     "the same, as systemd 257 tells it besides",
	},
	{
		name:       "workers of Next.js found",
		identifier: "systemd",
		message:    `^app\.service: Found left-over process \d+ \(next-server \(v1\) in control group while starting unit\. Ignoring\.$`,
		reason:     "workers outlive the master, and this one has a name of its own",
	},
	{
		name:       "workers found",
		identifier: "systemd",
		message:    `^app\.service: Found left-over process \d+ \(node\) in control group while starting unit\. Ignoring\.$`,
		reason:     "workers outlive the master, and the next one takes them over",
	},
	{
		name:       "Go worker found",
		identifier: "systemd",
		message:    `^app\.service: Found left-over process \d+ \(keeps\) in control group while starting unit\. Ignoring\.$`,
		reason:     "workers outlive the master, and the next one takes them over",
	},
	{
		name:       "workers found means on trixie",
		identifier: "systemd",
		message:    `^app\.service: This usually indicates unclean termination of a previous run, or service implementation deficiencies\.$`,
		reason:     "workers outlive the master, and the next one takes them over",
	},
	{
		name:       "reload's master ended",
		identifier: "app",
		message: `^reload: /run/rondo/app/control\.sock: the master ended before it answered: ` +
			`the next one goes on with it, or it has to be asked for again: see rondo status app$`,
		reason: "the test kills the master during systemctl reload",
	},
	{
		name:       "adopted worker gone",
		identifier: "app",
		message:    `^worker died worker=\d+ slot=\d+ pid=\d+ generation=\d+ err="ended \(how is not known: it was adopted\)"$`,
		reason:     "the test kills a worker together with the master",
	},
	{
		name:       "state does not begin as one",
		identifier: "app",
		message:    `^the state of the last master is refused: its workers finish what they hold, and are replaced err="state: damaged: it does not begin as a state does"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "state's header damaged",
		identifier: "app",
		message:    `^the state of the last master is refused: its workers finish what they hold, and are replaced err="state: damaged: its header does not match its checksum"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "state's record damaged",
		identifier: "app",
		message:    `^the state of the last master is refused: its workers finish what they hold, and are replaced err="state: damaged: the record does not match its checksum"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "state of no slot",
		identifier: "app",
		message:    `^the state of the last master is refused: its workers finish what they hold, and are replaced err="state: damaged: the record names a slot that is none"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "state of failed starts",
		identifier: "app",
		message:    `^the state of the last master is refused: its workers finish what they hold, and are replaced err="\d+ starts with it have failed"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "worker's header damaged",
		identifier: "app",
		message:    `^the state of a worker is refused worker=\d+ err="state: damaged: its header does not match its checksum"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "worker's record damaged",
		identifier: "app",
		message:    `^the state of a worker is refused worker=\d+ err="state: damaged: the record does not match its checksum"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "worker of no slot",
		identifier: "app",
		message:    `^the state of a worker is refused worker=\d+ err="state: damaged: the record names a slot that is none"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "worker's numbers damaged",
		identifier: "app",
		message:    `^the state of a worker is refused worker=\d+ err="state: damaged: its numbers are none"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "worker with a slot not known",
		identifier: "app",
		message:    `^what is known of a worker cannot be read: it finishes what it holds, and is replaced worker=\d+ slot=\d+ pid=\d+ generation=\d+$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "worker's line damaged",
		identifier: "app",
		message:    `^worker misbehaved on its channel worker=\d+ slot=\d+ pid=\d+ generation=\d+ err="sent a line that is not JSON: \\"U\{\\\\\\"cmd\\\\\\":\\\\\\"NODE_HANDLE_ACK\\\\\\"\}\\""$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "worker's line dropped",
		identifier: "app",
		message:    `^worker misbehaved on its channel worker=\d+ slot=\d+ pid=\d+ generation=\d+ err="sent a message of more than \d+ bytes \(max-message\), dropped"$`,
		reason:     "the test flips bytes of the state",
	},
	{
		name:       "store too small",
		identifier: "app",
		message:    `^the service manager's store is too small: workers that do not fit end with the master when it is killed; raise FileDescriptorStoreMax= of the service, or let rondo install --refresh write it have=\d+ need=\d+$`,
		reason:     "the test gives the service a store that is too small",
	},
	{
		name:       "store full",
		identifier: "app",
		message: `^the service manager's store is full: workers that do not fit end with the master when it is killed; ` +
			`raise FileDescriptorStoreMax= of the service have=\d+$`,
		reason: "the test has more workers than the store of the service has room for",
	},
	{
		name:       "no store",
		identifier: "app",
		message:    `^the service manager tells of no store for this service: its workers end with the master when that is killed; set FileDescriptorStoreMax= of the service, or let rondo install --refresh write it need=\d+$`,
		reason:     "the test gives the service a store that is too small",
	},
	{
		name:       "systemd's store full",
		identifier: "systemd",
		message:    `^app\.service: Cannot store more fds than FileDescriptorStoreMax=\d+, closing remaining\.$`,
		reason:     "the test gives the service a store that is too small",
	},
	{
		name:       "worker's state not stored",
		identifier: "app",
		message:    `^the state of a worker is refused worker=\d+ err="it is not in the store"$`,
		reason:     "the test gives the service a store that is too small",
	},
	{
		name:       "not kept worker gone",
		identifier: "app",
		message:    `^worker died worker=\d+ slot=\d+ pid=\d+ generation=\d+ err="ended while no master ran"$`,
		reason:     "the test gives the service a store that is too small",
	},
	{
		name:       "restart drains",
		identifier: "app",
		message:    `^systemd-stop: the master did not leave for the restart, so the service drains as for a stop: not all workers are kept for the next master: FileDescriptorStoreMax=\d+ of the service is too small$`,
		reason:     "the test gives the service a store that is too small",
	},
	{
		name:       "restart without a store drains",
		identifier: "app",
		message: `^systemd-stop: the master did not leave for the restart, so the service drains as for a stop: ` +
			`nothing keeps the workers for the next master: its unit has no file descriptor store$`,
		reason: "the test gives the service no store",
	},
	{
		name:       "accepted ones lost",
		identifier: "app",
		message:    `^connections lost that the last master had accepted and not handed over held=\d+$`,
		reason:     "the test kills the master, by chance or on purpose between accepting a connection and handing it over",
	},
	{
		name:       "unsent ones lost",
		identifier: "app",
		message:    `^connections lost worker=\d+ slot=\d+ pid=\d+ generation=\d+ held=\d+ err="the last master ended before it had handed them over"$`,
		reason:     "the test kills the master, by chance or on purpose when it is about to hand a connection over",
	},
	{
		name:       "upgrade to one that exits",
		identifier: "app",
		message:    `^upgrade failed; this version serves on version=\d+\.\d+\.\d+-dev err="/usr/local/bin/rondo does not start: exit status \d+: no"$`,
		reason:     "the test puts a program in the place of rondo that does not start",
	},
	{
		name:       "upgrade after a stop",
		identifier: "app",
		message:    `^upgrade failed; this version serves on version=\d+\.\d+\.\d+-dev err="the master is draining, not serving; try again when it is"$`,
		reason:     "the test stops the service while the next program is being tried",
	},
	{
		name:       "upgrade to no rondo",
		identifier: "app",
		message:    `^upgrade failed; this version serves on version=\d+\.\d+\.\d+-dev err="/usr/local/bin/rondo is no rondo that can take over: it said \\"no\\\\n\\""$`,
		reason:     "the test puts another program in the place of rondo",
	},
	{
		name:       "upgrade to nothing",
		identifier: "app",
		message:    `^upgrade failed; this version serves on version=\d+\.\d+\.\d+-dev err="/usr/local/bin/rondo does not start: fork/exec /usr/local/bin/rondo: no such file or directory"$`,
		reason:     "the test removes the program",
	},
	{
		name:       "upgrade to another format",
		identifier: "app",
		message:    `^upgrade failed; this version serves on version=\d+\.\d+\.\d+-dev err="version \d+\.\d+\.\d+-future keeps its state in format \d+, this one \(\d+\.\d+\.\d+-dev\) in format \d+: restart the service instead"$`,
		reason:     "the test upgrades to a version that keeps its state in another form",
	},
	{
		name:       "upgrade that panics after exec",
		identifier: "app",
		message:    `^upgrade failed; the version before serves on version=\d+\.\d+\.\d+-dev err="version \d+\.\d+\.\d+-next gave up: panic: fault: at after exec"$`,
		reason:     "the test upgrades to a version that panics",
	},
	{
		name:       "upgrade that panics before adoption",
		identifier: "app",
		message:    `^upgrade failed; the version before serves on version=\d+\.\d+\.\d+-dev err="version \d+\.\d+\.\d+-next gave up: panic: fault: at before adoption"$`,
		reason:     "the test upgrades to a version that panics",
	},
	{
		name:       "upgrade that panics before ready",
		identifier: "app",
		message:    `^upgrade failed; the version before serves on version=\d+\.\d+\.\d+-dev err="version \d+\.\d+\.\d+-next gave up: panic: fault: at before ready"$`,
		reason:     "the test upgrades to a version that panics",
	},
	{
		name:       "restart not known",
		identifier: "app",
		message: `^systemd-stop: whether this is a restart is not known, so the service drains as for a stop: ` +
			`no answer from systemd at /run/systemd/private: dial unix /run/systemd/private: connect: connection refused, ` +
			`nor over the system bus: dial unix /var/run/dbus/system_bus_socket: connect: connection refused$`,
		reason: "the test keeps systemd-stop from asking systemd",
	},
	{
		name:       "restart with its socket drains",
		identifier: "app",
		message: `^systemd-stop: systemd is also to restart app\.socket, so the service drains as for a stop: if that fails, no next master comes; ` +
			`requests in flight are finished, and WebSockets are held until drain-timeout$`,
		reason: "the test restarts the socket of a service that runs",
	},
	{
		name:       "restart as another account drains",
		identifier: "app",
		message: `^systemd-stop: the next master is to run as uid \d+ and process \d+ runs as uid \d+, so the service drains as for a stop: ` +
			`it could not end workers of another account; requests in flight are finished, and WebSockets are held until drain-timeout$`,
		reason: "the test changes User= of a service that runs, and restarts it",
	},
	{
		name:       "account not held",
		identifier: "systemd",
		message:    `^app\.service: Couldn't add UID/GID reference to unit, proceeding without: Device or resource busy$`,
		reason:     "the same: systemd holds the account that the service ran as",
	},
	{
		name:       "service without its socket",
		identifier: "systemd",
		message:    `^Dependency failed for app\.service - app \(rondo\)\.$`,
		reason:     "another process has the port of the socket that the test restarts",
	},
	{
		name:       "state of another format",
		identifier: "app",
		message:    `^the state of the last master is refused: its workers finish what they hold, and are replaced err="state of format \d+, this version reads format \d+"$`,
		reason:     "the test has a version take over that keeps its state in another form",
	},
	{
		name:       "worker of another format",
		identifier: "app",
		message:    `^the state of a worker is refused worker=\d+ err="state of format \d+, this version reads format \d+"$`,
		reason:     "the same, of each worker",
	},
	{
		name:       "worker not known",
		identifier: "app",
		message:    `^what is known of a worker cannot be read: it finishes what it holds, and is replaced worker=\d+ slot=-\d+ pid=\d+ generation=\d+$`,
		reason:     "the same, of what becomes of each worker",
	},
	{
		name:       "worker ignores SIGTERM",
		identifier: "app",
		message:    `^worker ignored SIGTERM for kill-timeout; killed worker=\d+ slot=\d+ pid=\d+ generation=\d+$`,
		reason:     "the program under test ignores SIGTERM",
	},
	{
		name:       "one left in a stop",
		identifier: "app",
		message:    `^systemd-sweep: processes left in the stopped service are killed: node \(\d+\)$`,
		reason:     "the program under test has a child that ignores SIGTERM, and is no worker",
	},
	{
		name:       "three left in a stop",
		identifier: "app",
		message:    `^systemd-sweep: processes left in the stopped service are killed: node \(\d+\), node \(\d+\), node \(\d+\)$`,
		reason:     "the test stops a service whose workers have lost their master",
	},
	{
		name:       "two of an earlier run",
		identifier: "app",
		message:    `^processes of an earlier run were left over and are killed processes="process \d+, process \d+"$`,
		reason:     "the test stops a service between two masters, when systemd ends nothing",
	},
	{
		name:       "ended unasked",
		identifier: "app",
		message: `^systemd-sweep: the process ended without an error, and no master has ended the service: systemd starts it again; ` +
			`if that goes on, the program in ExecStart= is none that serves$`,
		reason: "the test upgrades to a program that ends at once, and well",
	},
	{
		name:       "no control socket",
		identifier: "app",
		message: `^the service goes on without its control socket: rondo reload, status and the like do not find it until that can be made ` +
			`err="control socket: /run/rondo/app/control\.sock is not a socket: remove it"$`,
		reason: "the test puts a directory in the place of the control socket",
	},
	{
		name:       "stop timed out",
		identifier: "systemd",
		message:    `^app\.service: State 'stop-sigterm' timed out\. Killing\.$`,
		reason:     "the test masks the service, so that systemd ends by SIGTERM what a kill leaves, and the program under test ignores that",
	},
	{
		name:       "no store when masked",
		identifier: "systemd",
		message:    `^app\.service: Failed to add fd to store: Exchange full$`,
		reason:     "the test masks the service, at which systemd forgets the size of its store; only 252 says so",
	},
	{
		name:       "outdated workers",
		identifier: "app",
		message:    `^the workers that are adopted have not what there is now; a reload gives it to them old="settings and environment" command="rondo reload app"$`,
		reason:     "the test changes the settings and the environment, and kills the master",
	},
	{
		name:       "planted",
		identifier: "planted",
		message:    `^a planted warning number \d+$`,
		reason:     "TestExpectedWarningIsNoFault logs it, to see that Expect allows it",
	},
	{
		name:       "port taken",
		identifier: "app",
		message:    `^a socket that is to be listened on cannot be opened; the others are served, and a restart tries again listener="\d+=\d+" err="listen tcp :\d+: bind: address already in use: by a process of another user"$`,
		reason:     "the test has another program listen on a port that the settings ask for, and restarts the service",
	},
	{
		name:       "port taken, in an upgrade",
		identifier: "app",
		message:    `^upgrade failed; the version before serves on version=\d+\.\d+\.\d+-dev err="version \d+\.\d+\.\d+-dev gave up: --listen \d+=\d+: listen tcp :\d+: bind: address already in use: by a process of another user"$`,
		reason:     "the same, and upgrades rondo: what cannot open all leaves the service to the one before",
	},
	{
		name:       "socket gone",
		identifier: "app",
		message:    `^sockets that the last master had were not passed again, and are served no more listener=other@\[::\d+\]:\d+$`,
		reason:     "the test stops a socket unit while no master runs",
	},
}
