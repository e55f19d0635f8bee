#!/bin/sh
# Plays launchctl with what is in DIR: jobs/LABEL has a file for each thing that print
# tells of it. calls gets all arguments, a line each.
dir=DIR
echo "$*" >>"$dir/calls"
[ ! -p "$dir/seen-$1" ] || echo >"$dir/seen-$1"

fail() { # CODE TEXT
	echo "$2" >&2
	exit "$1"
}

if [ -f "$dir/fail-once-$1" ]; then
	mv "$dir/fail-once-$1" "$dir/failed"
	fail "$(sed -n 1p "$dir/failed")" "$(sed -n 2p "$dir/failed")"
fi
if [ -f "$dir/fail-$1" ]; then
	fail "$(sed -n 1p "$dir/fail-$1")" "$(sed -n 2p "$dir/fail-$1")"
fi

key() { sed -n "/<key>$2</{n;s/.*<string>\(.*\)<.*/\1/p;}" "$1"; }

ends() { # a job that was booted out
	rm -rf "$job"
}

case $1 in
bootstrap)
	[ -f "$3" ] || fail 5 "Bootstrap failed: 5: Input/output error"
	label=$(key "$3" Label)
	log=$(key "$3" StandardOutPath)
	job=$dir/jobs/$label
	[ ! -d "$job" ] || fail 5 "Bootstrap failed: 5: Input/output error"
	[ -f "$log" ] || fail 5 "Bootstrap failed: 5: Input/output error"
	mkdir -p "$job"
	echo "$3" >"$job/path"
	echo 'not running' >"$job/state"
	echo 0 >"$job/runs"
	echo '(never exited)' >"$job/code"
	if grep -q '<key>RunAtLoad<' "$3"; then
		echo running >"$job/state"
		echo 123 >"$job/pid"
		echo 1 >"$job/runs"
	fi
	;;
bootout)
	job=$dir/jobs/${2##*/}
	[ -d "$job" ] || fail 3 "Boot-out failed: 3: No such process"
	[ ! -f "$job/drains" ] || { touch "$job/ends"; fail 36 "Boot-out failed: 36: Operation now in progress"; }
	ends
	;;
print)
	job=$dir/jobs/${2##*/}
	if [ -f "$job/ends" ]; then # drains has how many more looks find it
		left=$(cat "$job/drains")
		[ "$left" -gt 0 ] || ends
		[ ! -d "$job" ] || echo $((left - 1)) >"$job/drains"
	fi
	[ -d "$job" ] || fail 113 "Could not find service \"${2##*/}\" in domain for ${2%/*}"
	echo "$2 = {"
	printf '\tactive count = 1\n\tpath = %s\n\ttype = LaunchDaemon\n\tstate = %s\n\n' "$(cat "$job/path")" "$(cat "$job/state")"
	printf '\tprogram = /usr/local/bin/rondo\n\targuments = {\n\t\t/usr/local/bin/rondo\n\t\trun\n\t}\n\n'
	[ ! -f "$job/pid" ] || printf '\tpid = %s\n' "$(cat "$job/pid")"
	printf '\truns = %s\n\tlast exit code = %s\n\n' "$(cat "$job/runs")" "$(cat "$job/code")"
	printf '\tsockets = {\n\t\t"Listeners" = {\n\t\t\tstate = active\n\t\t\tpath = /nowhere\n\t\t}\n\t}\n}\n'
	;;
*)
	fail 64 "Unrecognized subcommand: $1"
	;;
esac
