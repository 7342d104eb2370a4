#!/usr/bin/env bash
# Rebuilds data/pretrained/chairs from nothing: two to three hours on two CPU cores, by the sum of its steps.
#
#   bash scripts/build_pretrained.sh [WORK FOLDER] [BUNDLE FOLDER]
#
# Each step resumes where it stopped; the same command goes on. The seeds are in the commands.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/scripts/environment.sh"
set_up "$root"
cd "$root"
work=${1:-runs/build-chairs}
bundle=${2:-data/pretrained/chairs}
clipnerf=.venv/bin/clipnerf
python=.venv/bin/python
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"

$clipnerf data synthesize chairs --count 12000 --size 64 --seed 0 --out "$work/data"
$clipnerf data synthesize chairs --count 2000 --size 64 --seed 1 --pairs 1000 --out "$work/test"
[ -e "$work/recognizer.safetensors" ] ||
  $python -m clipnerf.evaluation recognizer --data "$work/data" --test "$work/test" \
    --out "$work/recognizer.safetensors"
$clipnerf train-clip --config configs/train-clip-chairs.yaml --data "$work/data" --out "$work/clip"
$clipnerf pretrain --config configs/pretrain-chairs.yaml --data.path "$work/data" --out "$work/gan"
$python scripts/assemble_bundle.py --run "$work/gan" --clip "$work/clip/clip.safetensors" \
  --poses "$work/test" --out "$bundle"
for which in shape appearance; do
  $clipnerf train-mapper --config "configs/train-mapper-$which-chairs.yaml" \
    --generator "$bundle" --clip "$bundle/clip.safetensors" --out "$work/mapper-$which"
  cp "$work/mapper-$which/mapper_$which.safetensors" "$bundle/"
done
$clipnerf evaluate "$bundle" --data "$work/test" --recognizer "$work/recognizer.safetensors" \
  --wishes configs/wishes-chairs.yaml --neutral "a chair" --out "$work/evaluation"
