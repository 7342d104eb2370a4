#!/usr/bin/env bash
# Everything that needs a GPU, in one command of under nine minutes: the GPU tests, the benchmark,
# a profile of the training step, and a short training with pictures.
#
#   bash scripts/gpu_check.sh OUT [--quick] [--cpu]
#
# Installs nothing and needs no network: PyTorch with CUDA, Triton, NumPy, imageio, safetensors,
# PyYAML, tqdm and tensorboard do; what is missing beyond them is skipped by name. PYTHON names the
# interpreter; by default .venv's where there is one, else python3. --cpu tries the script itself on
# a machine without a GPU, with small sizes; --quick shortens the measurements.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# -lt 1 ] || [ "${1#-}" != "$1" ]; then
    echo "usage: bash scripts/gpu_check.sh OUT [--quick] [--cpu]" >&2
    exit 2
fi
python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    [ -x "$root/.venv/bin/python" ] && python=$root/.venv/bin/python
fi
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if ! "$python" -c 'import jaxtyping' 2>/dev/null; then
    export PYTHONPATH="$PYTHONPATH:$root/scripts/stand_ins"
fi
cd "$root"
exec "$python" scripts/gpu_check.py all "$out" "$@"
