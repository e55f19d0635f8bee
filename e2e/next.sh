#!/bin/sh
# Installs Next.js by npm and builds its program of testdata for production, where that is
# not done yet, outside the checkout. Prints the directory, which has the program in app/.
# (npm ci refuses a lock file without the platforms that the registry at hand lacks.)
set -eu
here=$(cd "$(dirname "$0")" && pwd)

sum=$(cat "$here/npm-next/package-lock.json" "$here"/testdata/programs/next/app/* "$0" | sha256sum | cut -c1-16)
dir="${XDG_CACHE_HOME:-$HOME/.cache}/rondo/next-$sum"
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock" && flock 9 # another run may be at it
if [ ! -e "$dir/complete" ]; then
	rm -rf "$dir"
	mkdir -p "$dir"
	cp "$here/npm-next/package.json" "$here/npm-next/package-lock.json" "$here/npm-next/.npmrc" "$dir"
	cp -r "$here/testdata/programs/next/app" "$dir/app"
	(cd "$dir" && npm install --silent --no-progress --no-save && NEXT_TELEMETRY_DISABLED=1 node node_modules/next/dist/bin/next build) >&2
	touch "$dir/complete"
fi
echo "$dir"
