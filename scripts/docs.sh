#!/usr/bin/env bash
# The documentation as pages in out/docs, those of the API from the docstrings; any warning is an error.
#
#   bash scripts/docs.sh [options of mkdocs build]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/scripts/environment.sh"

set_up "$root" docs
cd "$root"
.venv/bin/python -m mkdocs build --strict "$@"
