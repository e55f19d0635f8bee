#!/usr/bin/env bash
# Builds all that is published, into dist/. The same commit gives the same bytes: what
# is built knows neither this machine nor the time.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${VERSION:?make packages sets it}" "${COMMIT:?make packages sets it}"
export VERSION SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
export CGO_ENABLED=0 LC_ALL=C TZ=UTC
dist=${DIST:-dist}
flags=(-trimpath -buildvcs=false -ldflags "-s -w -X github.com/rondokit/rondo/master.Version=$VERSION -X main.revision=$COMMIT")

rm -rf "$dist"
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tools are of the machine that builds.
go build -C packaging -o "$work/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm
go build -C packaging -o "$work/bill" ./bill
go run -tags docs "${flags[@]}" ./cmd/rondo docs "$work/docs"
gzip -9n "$work"/docs/man*/*
gzip -9nc CHANGELOG.md >"$work/docs/changelog.Debian.gz"

# archive NAME packs the directory of that name, in $work.
archive() {
	tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode='go=rX,u+w' -cf - "$1" |
		gzip -9n >"$dist/$1.tar.gz"
}

for target in ${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}; do
	export GOOS=${target%/*} GOARCH=${target#*/}
	export STAGE=$work/$GOOS-$GOARCH
	cp -r "$work/docs" "$STAGE"
	go build "${flags[@]}" -o "$STAGE/rondo" ./cmd/rondo
	GOOS= GOARCH= "$work/bill" -program "$STAGE/rondo" -version "$VERSION" -commit "$COMMIT" \
		-spdx "$STAGE/rondo.spdx.json" -copyright "$STAGE/copyright"

	name=rondo-$VERSION-$GOOS-$GOARCH
	mkdir -p "$work/$name"/{bin,share/man,share/bash-completion/completions,share/zsh/site-functions,share/fish/vendor_completions.d,share/doc/rondo}
	cp "$STAGE/rondo" "$work/$name/bin/"
	cp -r "$STAGE"/man? "$work/$name/share/man/"
	cp "$STAGE/bash/rondo" "$work/$name/share/bash-completion/completions/"
	cp "$STAGE/zsh/_rondo" "$work/$name/share/zsh/site-functions/"
	cp "$STAGE/fish/rondo.fish" "$work/$name/share/fish/vendor_completions.d/"
	cp README.md CHANGELOG.md LICENSE packaging/example.toml "$STAGE/copyright" "$STAGE/rondo.spdx.json" "$work/$name/share/doc/rondo/"
	archive "$name"
	cp "$STAGE/rondo.spdx.json" "$dist/$name.spdx.json"

	if [ "$GOOS" = linux ]; then
		"$work/nfpm" package --config packaging/nfpm.yaml --packager deb --target "$dist/"
		"$work/nfpm" package --config packaging/nfpm.yaml --packager rpm --target "$dist/"
	fi
done
cd "$dist"
sha256sum -- * >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" .
