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
gzip -9nc CHANGELOG.md >"$work/docs/changelog.gz"
# What the packages say of their making; what rondo has new is in CHANGELOG.md.
cat >"$work/docs/changelog.yaml" <<-end
	- semver: $VERSION-1
	  date: $(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
	  packager: The rondo authors <rondokit@users.noreply.github.com>
	  deb: {urgency: medium, distributions: [unstable]}
	  changes:
	    - note: "Version $VERSION, commit ${COMMIT:0:12}: see CHANGELOG.md"
end

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
		# Of changelog nfpm expands nothing, and a deb's control file knows no licence.
		sed "s|\${STAGE}|$STAGE|g" packaging/nfpm.yaml >"$STAGE/rpm.yaml"
		sed '/^license:/d' "$STAGE/rpm.yaml" >"$STAGE/deb.yaml"
		for page in man1 man5 man7; do
			for file in "$STAGE/$page"/*; do
				echo "  - {src: $file, dst: /usr/share/man/$page/${file##*/}, type: doc, file_info: {mode: 0644}}" >>"$STAGE/rpm.yaml"
			done
		done
		for packager in deb rpm; do
			"$work/nfpm" package --config "$STAGE/$packager.yaml" --packager "$packager" --target "$dist/"
		done
	fi
done
if [ -z "${TARGETS:-}" ]; then # it names all four
	cp packaging/homebrew/rondo.rb "$dist/"
	for target in darwin-amd64 darwin-arm64 linux-amd64 linux-arm64; do
		sum=$(sha256sum "$dist/rondo-$VERSION-$target.tar.gz" | cut -d' ' -f1)
		sed -i "s/@SUM-$target@/$sum/; s/@VERSION@/$VERSION/g" "$dist/rondo.rb"
	done
fi
cd "$dist"
sha256sum -- * >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" .
