#!/usr/bin/env bash
# Makes the deb and the rpm of an app that rondo runs.
#
#   build.sh NAME VERSION RELEASE [flags of rondo install] -- COMMAND [ARG...]
#
# RELEASE is a directory with all that the app is: server.js and node_modules, or a program.
# On the machine it is /var/lib/NAME/current, where COMMAND is started. It needs rondo and
# nfpm (or their paths in $RONDO and $NFPM); $RUNTIME names the package that COMMAND is of,
# $ARCH the architecture, as Go names it, $PACKAGERS what to make, $DIST where.
set -euo pipefail
[ $# -ge 5 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
export NAME=$1 VERSION=$2
release=$(cd "$3" && pwd)
shift 3
here=$(cd "$(dirname "$0")" && pwd)
rondo=${RONDO:-rondo} nfpm=${NFPM:-nfpm} dist=${DIST:-.}
export RUNTIME=${RUNTIME:-rondo} ARCH=${ARCH:-amd64} MAINTAINER=${MAINTAINER:-nobody <nobody@example.org>}

STAGE=$(mktemp -d)
export STAGE
trap 'rm -rf "$STAGE"' EXIT
cp -r "$release" "$STAGE/release"
chmod -R u+w,go=rX "$STAGE/release"

# A release that is built again is another one: its directory has its contents in its name.
contents=$(cd "$release" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-8)
mkdir "$STAGE/scripts"
for script in postinst prerm postrm; do
	sed "s/@NAME@/$NAME/g; s/@RELEASE@/$VERSION-$contents/g" "$here/scripts/$script" >"$STAGE/scripts/$script"
done

"$rondo" units generate --name "$NAME" --directory "/var/lib/$NAME/current" --output "$STAGE/units" "$@" >/dev/null
sed "s|\${STAGE}|$STAGE|g" "$here/nfpm.yaml" >"$STAGE/nfpm.yaml" # of scripts nfpm expands nothing
for packager in ${PACKAGERS:-deb rpm}; do
	"$nfpm" package --config "$STAGE/nfpm.yaml" --packager "$packager" --target "$dist/"
done
