#!/usr/bin/env bash
# Says which servers scripts/servers.sh could not have and why; nothing if it
# has them all. Their tests are skipped, so that is how a run of the tests ends.
set -euo pipefail
cache=${PILLBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pillbox}
for file in "$cache"/left-out/*; do
    [ ! -e "$file" ] || printf 'left out: %s: %s\n' "${file##*/}" "$(cat "$file")"
done
