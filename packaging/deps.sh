#!/bin/sh
# Installs what the tests of the packages check them with, where it is not there yet.
set -eu

missing=""
command -v lintian >/dev/null || missing="$missing lintian"
command -v rpmlint >/dev/null || missing="$missing rpmlint"
command -v rpm >/dev/null || missing="$missing rpm" # rpmlint runs it
command -v ruby >/dev/null || missing="$missing ruby"
if [ -n "$missing" ]; then
	[ "$(id -u)" = 0 ] || { echo "deps: as root: apt-get install$missing" >&2; exit 1; }
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq >&2
	# shellcheck disable=SC2086 # a list of packages
	apt-get install -y -qq --no-install-recommends $missing >&2
fi
