"""The figures of a bundle's model card: variety, disentanglement, edits, matching, seconds.

    python scripts/measure_bundle.py data/pretrained/chairs --data DIR --recognizer FILE --out FILE

DIR are held-out pictures of the same category with attributes (clipnerf data synthesize). FILE is
made by: python -m clipnerf.evaluation recognizer
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from clipnerf import Editor
from clipnerf.clip.prompts import text_embedding
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import ClipNerfError
from clipnerf.evaluation.disentanglement import disentanglement
from clipnerf.evaluation.edits import edit_success
from clipnerf.evaluation.matching import Matching, matching
from clipnerf.evaluation.recognizer import Recognizer
from clipnerf.evaluation.variety import Variety
from clipnerf.evaluation.wishes import Wish, load_wishes
from clipnerf.runs.atomic import atomic_write


def match(editor: Editor, wishes: list[Wish], objects: int, size: int) -> Matching:
    """Five-way matching of all objects edited by all wishes."""
    assert editor.clip is not None
    codes = editor.sample(range(objects))
    edited = [editor.edit(codes, w.prompt, shape=w.shape, appearance=w.appearance) for w in wishes]
    pictures = torch.stack([editor.render(each, 35, 20, size).rgb for each in edited], dim=1)
    texts = torch.stack([text_embedding(editor.clip, w.prompt) for w in wishes])
    return matching(editor.clip, pictures, [w.prompt for w in wishes], texts)


def seconds_an_edit(editor: Editor, size: int) -> float:
    """Seconds of one edit with one view, everything loaded; the median of 20 objects."""
    times = []
    for seed in range(20):
        codes = editor.sample([seed])
        start = time.perf_counter()
        editor.render(editor.edit(codes, "a red chair", 1.0, 1.0), 35, 20, size)
        times.append(time.perf_counter() - start)
    return sorted(times)[10]


def main() -> None:
    """Prints tables, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--data", required=True)
    parser.add_argument("--recognizer", required=True)
    parser.add_argument("--wishes", default="configs/wishes-chairs.yaml")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--objects", type=int, default=32)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--out", required=True)
    a = parser.parse_args()
    editor, recognizer = Editor.load(a.bundle), Recognizer.load(a.recognizer)
    wishes = list(load_wishes(a.wishes))

    variety = Variety(
        PictureDataset(a.data, a.size), editor.clip, recognizer, a.samples, a.size
    ).measure(editor.generator)
    print("\n".join(variety.lines()))
    codes = disentanglement(editor.generator, size=a.size)
    print("\n".join(f"{key:<20} {value:.4f}" for key, value in asdict(codes).items()))
    found: dict[str, object] = {"variety": variety.as_json(), "disentanglement": asdict(codes)}
    for which in editor.mappers:
        some = [wish for wish in wishes if getattr(wish, which)]
        success = edit_success(editor, recognizer, some, range(a.objects), size=a.size)
        matches = match(editor, some, a.objects, a.size)
        print(f"\n{which}: 5-way matching by the guide {matches.share:.3f}")
        print("\n".join(success.lines()))
        found[which] = {"edits": asdict(success), "matching": asdict(matches)}
    if editor.mappers:
        found["seconds_an_edit"] = seconds_an_edit(editor, a.size)
        print(f"\nan edit with one view of {a.size} px: {found['seconds_an_edit']:.3f} s")
    with atomic_write(Path(a.out)) as temporary:
        temporary.write_text(json.dumps(found, indent=1))
    print(a.out)


if __name__ == "__main__":
    try:
        main()
    except ClipNerfError as error:
        sys.exit(f"error: {error}")
