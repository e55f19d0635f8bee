#!/bin/sh
# Installs what the tests run, where it is not there yet: systemd-socket-activate,
# curl, shells and, for root, what boots machines (e2e/machine makes their trees itself) by
# apt, real Node releases and programs by npm, outside the checkout.
# Prints the directory of the npm packages.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

missing=""
command -v curl >/dev/null || missing="$missing curl"
[ -e /usr/share/bash-completion/bash_completion ] || missing="$missing bash-completion"
command -v fish >/dev/null || missing="$missing fish"
command -v zsh >/dev/null || missing="$missing zsh"
command -v gcc >/dev/null || missing="$missing gcc libc6-dev" # the race detector is cgo
command -v man >/dev/null || missing="$missing man-db"
command -v plistutil >/dev/null || missing="$missing libplist-utils" # reads what launchd is to read
command -v npm >/dev/null || missing="$missing npm"
command -v systemd-socket-activate >/dev/null || missing="$missing systemd"
if [ "$(id -u)" = 0 ] && [ "$(uname)" = Linux ]; then # nobody else can boot a machine
	command -v mmdebstrap >/dev/null || missing="$missing mmdebstrap"
	command -v systemd-nspawn >/dev/null || missing="$missing systemd-container"
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"
	# The trees come from where apt has Debian from, which its lists tell.
	apt-get indextargets --format '$(ORIGIN)' 'Created-By: Packages' 2>/dev/null | grep -q Debian || apt-get update -qq >&2
fi
if [ -n "$missing" ]; then
	[ "$(id -u)" = 0 ] || { echo "deps: as root: apt-get install$missing" >&2; exit 1; }
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq >&2
	# shellcheck disable=SC2086 # a list of packages
	apt-get install -y -qq --no-install-recommends $missing >&2
fi

sum=$(cat "$here/npm/package-lock.json" | sha256sum | cut -c1-16)
dir="${XDG_CACHE_HOME:-$HOME/.cache}/rondo/npm-$sum"
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock" && flock 9 # another run may be at it
if [ ! -e "$dir/complete" ]; then
	rm -rf "$dir"
	mkdir -p "$dir"
	cp "$here/npm/package.json" "$here/npm/package-lock.json" "$here/npm/.npmrc" "$dir"
	(cd "$dir" && npm ci --silent --no-progress >&2)
	touch "$dir/complete"
fi
echo "$dir"
