#!/usr/bin/env bash
# From nothing but Python 3.10+ to an edited orbit: installs once, runs the demo, prints its paths.
#
#   bash scripts/quickstart.sh [--text "a red chair"] [--out DIR] [any option of clipnerf demo]
#   bash scripts/quickstart.sh --view [any option of clipnerf view]     opens a page in the browser
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/scripts/environment.sh"

if [ "${1:-}" = --view ]; then
    shift
    set_up "$root" viewer
    exec "$root/.venv/bin/clipnerf" view --open "$@"
fi
set_up "$root"
# From the caller's folder, so that a relative --out is theirs.
exec "$root/.venv/bin/clipnerf" demo "$@"
