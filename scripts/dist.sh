#!/usr/bin/env bash
# Builds the front end into a temporary folder and compares it with the
# committed medicine/web/dist, which go:embed takes.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f medicine/web/package.json ] || exit 0
scripts/web.sh medicine/web
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd medicine/web && npm run --silent build -- --outDir "$tmp/dist" --emptyOutDir --logLevel warn)
if ! diff -r medicine/web/dist "$tmp/dist" >/dev/null; then
    diff -rq medicine/web/dist "$tmp/dist" || true
    echo "medicine/web/dist is not what its sources build: run make dist and commit it" >&2
    exit 1
fi
