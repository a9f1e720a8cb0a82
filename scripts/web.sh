#!/usr/bin/env bash
# Runs npm scripts in one of the TypeScript folders, after installing what its
# lock file pins if that has changed since the last time.
#
#   scripts/web.sh FOLDER SCRIPT…
#
# A folder that does not exist, or a script that its package.json does not
# have, is passed over.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f "$1/package.json" ] || exit 0
cd "$1"
shift
seen=node_modules/.pillbox-lock
if ! cmp -s package-lock.json $seen; then
    npm ci --ignore-scripts --no-audit --no-fund
    cp package-lock.json $seen
fi
for script in "$@"; do
    npm run --if-present "$script"
done
