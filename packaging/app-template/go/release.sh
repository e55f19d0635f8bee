#!/bin/sh
# Builds the packages of VERSION of the app.
set -eu
version=${1:?usage: release.sh VERSION}
cd "$(dirname "$0")"
release=$(mktemp -d)
trap 'rm -rf "$release"' EXIT
CGO_ENABLED=0 go build -ldflags "-X main.version=$version" -o "$release/store" .
../build.sh store "$version" "$release" --listen 8081=8080 -- /var/lib/store/current/store
