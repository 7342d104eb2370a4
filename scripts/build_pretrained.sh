#!/usr/bin/env bash
# Rebuilds a bundle of data/pretrained at 128 pixels from nothing: seven hours or more on two CPU cores, an
# estimate from its steps, which were run one by one; the entangled baseline and the judge serve evaluation alone.
#
#   bash scripts/build_pretrained.sh [chairs|cars] [WORK FOLDER] [BUNDLE FOLDER]
#
# Each step resumes where it stopped; the same command goes on. The seeds are in the commands.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
category=${1:-chairs}
case "$category" in
chairs) fov=30 ;;
cars) fov=26 ;;
*)
  echo "build_pretrained.sh: category is '$category'; allowed: chairs, cars" >&2
  exit 2
  ;;
esac
source "$root/scripts/environment.sh"
set_up "$root" features
cd "$root"
work=${2:-runs/build-$category}
bundle=${3:-data/pretrained/$category}
clipnerf=.venv/bin/clipnerf
python=.venv/bin/python
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"

draw() { # one ray a pixel, as a fake has
  $clipnerf data synthesize "$category" --fov_deg "$fov" --oversampling 1 "$@"
}
draw --count 8000 --size 256 --seed 0 --out "$work/pictures"
draw --count 12000 --size 128 --seed 0 --out "$work/data"
draw --count 2000 --size 128 --seed 1 --pairs 1000 --out "$work/test"
draw --count 8000 --size 128 --seed 2 --out "$work/judge-data"
draw --count 5000 --size 128 --seed 3 --regions true --out "$work/regions"
[ -e "$work/recognizer.safetensors" ] ||
  $clipnerf train-recognizer --data "$work/data" --test "$work/test" --size 96 \
    --out "$work/recognizer.safetensors"
$clipnerf train-clip --config "configs/train-clip-$category.yaml" --data "$work/pictures" --out "$work/clip"
$clipnerf train-clip --config configs/train-clip-judge.yaml --data "$work/judge-data" --out "$work/judge" \
  --zero_shot "configs/zero_shot/$category.yaml"
$clipnerf pretrain --config "configs/pretrain-$category.yaml" --data.path "$work/pictures" --out "$work/gan"
$python scripts/assemble_bundle.py --run "$work/gan" --clip "$work/clip/clip.safetensors" \
  --poses "$work/test" --out "$bundle"

$clipnerf train-mapper --config "configs/train-mapper-universal-$category.yaml" \
  --generator "$bundle" --clip "$bundle/clip.safetensors" --out "$work/mapper-universal"
cp "$work/mapper-universal/mapper_universal.safetensors" "$bundle/"
$clipnerf train-encoder --config "configs/train-encoder-$category.yaml" --generator "$bundle" --data "$work/data" \
  --out "$work/encoder"
cp "$work/encoder/encoder.safetensors" "$bundle/"

$clipnerf train-segmenter --config "configs/train-segmenter-$category.yaml" --clip "$bundle" \
  --data "$work/regions" --out "$work/segmenter"
cp "$work/segmenter/segmenter.safetensors" "$bundle/"
$clipnerf train-region --config "configs/train-region-$category.yaml" --bundle "$bundle" --out "$work/region"
cp "$work/region/region.safetensors" "$bundle/"

mkdir -p "$bundle/evaluation"
cp "$work/recognizer.safetensors" "$bundle/evaluation/"
cp "$work/judge/clip.safetensors" "$bundle/evaluation/judge.safetensors"
cp "configs/wishes-$category.yaml" "$bundle/evaluation/wishes.yaml"
printf 'category: %s\n' "$category" >"$bundle/evaluation/evaluation.yaml"

if [ "$category" = chairs ]; then # to compare with: the paper's mappers, the paper's entangled baseline
  for which in shape appearance; do
    $clipnerf train-mapper --config "configs/train-mapper-$which-$category.yaml" \
      --generator "$bundle" --clip "$bundle/clip.safetensors" --out "$work/mapper-$which"
    cp "$work/mapper-$which/mapper_$which.safetensors" "$bundle/"
  done
  $clipnerf pretrain --config "configs/pretrain-$category.yaml" --data.path "$work/pictures" \
    --generator.field.conditioning entangled --out "$work/entangled"
  cp "$work/entangled/generator.safetensors" "$bundle/evaluation/entangled.safetensors"
fi
for folder in "$bundle" "$bundle/evaluation"; do # what was left out later, or damaged, is then said
  (cd "$folder" && sha256sum ./*.safetensors | sed 's:\./::' >SHA256SUMS)
done
$clipnerf evaluate "$bundle" --data "$work/test" --out "$work/evaluation"
