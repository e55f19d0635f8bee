#!/bin/sh
# Installs what rondo is measured with and against, where it is not there yet: wrk,
# HAProxy, nginx with its stream module and systemd's programs by apt, pm2 by npm,
# outside the checkout. Starts none of it. Prints the directory of the npm packages.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

missing=""
command -v wrk >/dev/null || missing="$missing wrk"
command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing="$missing haproxy"
[ -x /usr/sbin/nginx ] || missing="$missing nginx"
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing="$missing libnginx-mod-stream"
[ -x /usr/lib/systemd/systemd-socket-proxyd ] && command -v systemd-socket-activate >/dev/null || missing="$missing systemd"
command -v npm >/dev/null || missing="$missing npm"
if [ -n "$missing" ]; then
	[ "$(id -u)" = 0 ] || { echo "deps: as root: apt-get install$missing" >&2; exit 1; }
	# Debian starts what it installs unless this file says no.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq >&2
	# shellcheck disable=SC2086 # a list of packages
	apt-get install -y -qq --no-install-recommends $missing >&2
	for unit in haproxy nginx; do # nor are they wanted at the next boot
		case "$missing " in *" $unit "*) systemctl disable --quiet "$unit" >&2 || true ;; esac
	done
fi

sum=$(sha256sum <"$here/npm/package-lock.json" | cut -c1-16)
dir="${XDG_CACHE_HOME:-$HOME/.cache}/rondo/bench-npm-$sum"
if [ ! -e "$dir/complete" ]; then
	rm -rf "$dir"
	mkdir -p "$dir"
	cp "$here/npm/package.json" "$here/npm/package-lock.json" "$here/npm/.npmrc" "$dir"
	(cd "$dir" && npm ci --silent --no-progress >&2)
	touch "$dir/complete"
fi
echo "$dir"
