# rondo: build, run, check and test. Each target installs what it needs and lacks.

SHELL       := /bin/bash
.SHELLFLAGS := -o pipefail -c

GO      ?= go
# The tag of this very commit, v1.2.3 as 1.2.3; the commit itself is in what is built.
VERSION ?= $(shell v=$$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null) && echo $${v\#v} || echo 0.0.0-dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS := -X github.com/rondokit/rondo/master.Version=$(VERSION) -X main.revision=$(COMMIT)
FUZZ    ?= 20s

# One seed for everything random in a run; RONDO_SEED=N repeats it.
export RONDO_SEED ?= $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')

.PHONY: build run lint check test portable test-mac e2e soak fuzz packages deps clean bench bench-quick bench-build bench-deps modules-lint bench-test packaging-deps packaging-test

build:
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/rondo ./cmd/rondo

run: build
	bin/rondo demo

# Format, vet and staticcheck for both platforms, and for Linux with what is otherwise for
# others; there, what only tests for systemd use is not used.
lint: modules-lint
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	GOOS=linux $(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) vet -tags portable ./...
	@set -e; check=$$($(GO) tool -n staticcheck); set -x; $$check ./...; \
		GOOS=darwin $$check -checks inherit,-U1000 ./...; $$check -tags portable -checks inherit,-U1000 ./...
	@set -ex; for arch in arm64 amd64; do CGO_ENABLED=0 GOOS=darwin GOARCH=$$arch $(GO) build -o /dev/null ./cmd/rondo; done

# The gate before each commit.
check: deps lint bench-test packaging-test
	$(GO) test -race -shuffle=on -short ./...

# Everything, with the counts of a soak divided by ten.
test: deps lint bench-test packaging-test
	@echo "seed $(RONDO_SEED)"
	$(GO) test -race -shuffle=on -timeout=40m ./...
	@test "$$(uname)" != Linux || $(MAKE) portable

PORTABLE := ./activation ./cmd/rondo ./e2e ./internal/... ./master ./units ./worker

# The master, the workers and all around them, but the machines that are booted, with what is otherwise for other systems than
# Linux, so that it is run and not only compiled.
portable: deps
	@echo "seed $(RONDO_SEED)"
	$(GO) test -tags portable -race -shuffle=on -short -timeout=20m $(PORTABLE)

# On a Mac, as a user who is logged in: what there is of tests for it, and the life of an app
# under launchd. Nobody has run it yet: say what you saw. A path of a socket has 103 bytes.
test-mac:
	@test "$$(uname)" = Darwin || { echo "make test-mac: this is no Mac"; exit 1; }
	$(GO) vet ./...
	TMPDIR=/tmp $(GO) test -race -shuffle=on -timeout=20m $$($(GO) list ./... | grep -v '/e2e$$\|/e2e/machine$$')

# What runs whole services: real masters, Node, and booted machines.
e2e: deps
	@echo "seed $(RONDO_SEED)"
	$(GO) test -race -shuffle=on -count=1 -timeout=40m ./e2e/...

# Everything, with the counts in full.
soak: deps packaging-deps
	@echo "seed $(RONDO_SEED)"
	RONDO_SOAK=1 $(GO) -C packaging test -count=1 .
	RONDO_SOAK=1 $(GO) test -race -shuffle=on -count=1 -timeout=60m -v ./e2e | grep -E '^(e2e:|---|\s+---|FAIL|ok|panic)|_test.go:'

# Each fuzz test for FUZZ.
fuzz:
	@set -e; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZ) -fuzzminimizetime 10x $$p; \
		done; \
	done

# What is published, into dist/.
packages:
	@VERSION='$(VERSION)' COMMIT='$(COMMIT)' TARGETS='$(TARGETS)' packaging/build.sh

deps:
	@e2e/deps.sh >/dev/null

# bench/, for Linux, and packaging/ are modules of their own: charts, load generators and
# what makes packages are no dependency of rondo.
modules-lint:
	GOOS=linux $(GO) -C bench vet ./...
	$(GO) -C packaging vet ./...
	cd packaging && $$(cd .. && $(GO) tool -n staticcheck) ./...
	$(GO) vet -tags docs ./cmd/rondo
	$(GO) -C packaging/app-template/go vet ./...
	cd bench && GOOS=linux $$(cd .. && $(GO) tool -n staticcheck) ./...

bench-test:
	@test "$$(uname)" != Linux || $(GO) -C bench test -race -shuffle=on ./...

packaging-deps:
	@test "$$(uname)" != Linux || packaging/deps.sh

packaging-test: packaging-deps
	@test "$$(uname)" != Linux || $(GO) -C packaging test ./...

bench-build: build
	$(GO) build -C bench -o ../bin/rondo-bench .
	$(GO) build -C bench -o ../bin/bench-hello ./apps/hello

bench-deps:
	@bench/deps.sh >/dev/null

# rondo beside what people would otherwise run: 70 minutes on a machine that does nothing else.
bench: bench-build
	@npm=$$(bench/deps.sh) && bin/rondo-bench -npm "$$npm" -command 'make bench' -out bench/results

# The same in two minutes, roughly.
bench-quick: bench-build
	@npm=$$(bench/deps.sh) && bin/rondo-bench -quick -npm "$$npm" -command 'make bench-quick' -out bench/results/quick

clean:
	rm -rf bin dist
