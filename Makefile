# rondo: build, run, check and test. Each target says what it needs and installs it.

GO       ?= go
BIN      := bin/rondo
PACKAGES := ./...

.PHONY: build run check test soak fuzz deps clean

build:
	$(GO) build -o $(BIN) ./cmd/rondo

run: build
	$(BIN) demo

# The gate before each commit: format, vet for both platforms, staticcheck, race tests.
check:
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	GOOS=linux $(GO) vet $(PACKAGES)
	GOOS=darwin $(GO) vet $(PACKAGES)
	$(GO) tool staticcheck $(PACKAGES)
	$(GO) test -race -shuffle=on -short $(PACKAGES)

clean:
	rm -rf bin dist
