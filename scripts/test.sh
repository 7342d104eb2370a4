#!/usr/bin/env bash
# Lint, types, tests: what has to pass before a change goes in. Installs the tools on the first call.
#
#   bash scripts/test.sh [options of pytest]
#   bash scripts/test.sh -m "not slow"           what is quick
#   bash scripts/test.sh -n 0 tests/fields       in one process, whose output can be followed
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/scripts/environment.sh"

set_up "$root" dev
cd "$root"
# The tests' tensors are small: more threads would cost more than they bring.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check --quiet .
.venv/bin/python -m mypy
.venv/bin/python -m pytest -q -n 2 "$@"
