#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each (10m when not given),
# or only those whose name or package matches the regular expression FUZZ.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-10m} only=${FUZZ:-.} failed=()
for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do
    for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
        grep -Eq -- "$only" <<<"$package $target" || continue
        echo "== $package $target, $time"
        go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || failed+=("$package $target")
    done
done
if [ ${#failed[@]} -gt 0 ]; then
    printf 'finding: %s\n' "${failed[@]}" >&2
    exit 1
fi
