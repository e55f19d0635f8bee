#!/bin/sh
# Builds the packages of the app, in the version that package.json says.
set -eu
cd "$(dirname "$0")"
version=$(node -p 'require("./package.json").version')
release=$(mktemp -d)
trap 'rm -rf "$release"' EXIT
cp server.js package.json "$release" # and node_modules, after npm ci --omit=dev
RUNTIME=nodejs ../build.sh shop "$version" "$release" --listen 8080=3000 -- /usr/bin/node server.js
