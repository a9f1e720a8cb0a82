# Pillbox. "make" alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup test web-test go-test check lint fuzz histories bench benchmarks build dist

# scripts/setup.sh and internal/need know this folder by the same rule.
CACHE := $(or $(PILLBOX_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pillbox)
export PATH := $(CACHE)/bin:$(PATH):/usr/local/go/bin

GOFUMPT := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 10m
export FUZZTIME

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## install what the tests need (Debian; elsewhere say what is missing)
	@scripts/setup.sh

test: setup web-test go-test ## do the set-up, then run every test and skip none

web-test: setup
	scripts/web.sh medicine/web check test
	scripts/web.sh client check test

# Those that take longest, and wait for servers most of it, begin first: at the end
# one would run alone.
LONGEST := ./store/redisstore ./store/mysqlstore ./store/mongostore

# After the front end's, so that the count of Go's tests is what closes the run.
go-test: setup web-test
	@{ PILLBOX_TEST_ALL=1 go test -race -shuffle=on -json $(LONGEST) ./... || failed=1; \
	PILLBOX_TEST_ALL=1 go -C bench test -shuffle=on -json ./... || failed=1; exit $${failed:-0}; } | \
	go run ./internal/tally || failed=1; \
	scripts/left-out.sh; exit $${failed:-0}

check: lint test ## everything that has to hold before a push

lint: setup ## formatting, vet, staticcheck, modules, fresh dist; no tests
	@unformatted=$$(go run $(GOFUMPT) -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofumpt:" $$unformatted >&2; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff
	for module in bench internal/servers/ferretdb; do go -C $$module mod tidy -diff; go -C $$module vet ./...; done
	go -C bench run $(STATICCHECK) ./...
	go mod verify
	scripts/dist.sh

fuzz: ## run every fuzz target for FUZZTIME (10m); FUZZ=regexp selects some
	scripts/fuzz.sh

histories: setup ## 100,000 operations on every store, checked for linearizability; HISTORIES=n
	PILLBOX_TEST_ALL=1 PILLBOX_HISTORIES=$(or $(HISTORIES),100000) go test -race -run Histories -timeout 4h -v ./store/... | grep -v '^=== '

bench: setup ## measure Pillbox beside its peers, for bench/results.md; ONLY=regexp picks rows
	go -C bench run . $(if $(ONLY),-only '$(ONLY)')

benchmarks: ## run every benchmark of the library and its stores
	go test -run '^$$' -bench . -benchmem ./...

build: ## build the programs into bin/
	go build -o bin/ ./cmd/...

dist: setup ## rebuild the front end that is embedded, to be committed
	scripts/web.sh medicine/web build
