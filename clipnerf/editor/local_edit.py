"""Local edits: the part of an object that words name is changed, and nothing else.

The third stage of an edit: what the mappers made of whole objects is kept within a region
(``regions.py``). Outside it the field of the edited object is that of the unedited one bit for
bit, and an edit of color moves no bit of geometry anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from clipnerf.config.ranges import Caption, check, refuse
from clipnerf.editor.mapping import CodeChange
from clipnerf.editor.recolor import recolored
from clipnerf.editor.regions import RegionFinder, Where
from clipnerf.errors import UsageError, warn
from clipnerf.fields.masks import PhraseRegion
from clipnerf.gan.codes import Codes, LocalEdit

SURE = 0.5
"""Probability of the points by which an object is said to have a part at all."""
LEAST_SHARE = 0.01
"""Share of what is seen of an object below which it has no such part."""


class LocalEditor:
    """Confines edits to parts of objects.

    Args:
        regions: finds the parts.
    """

    def __init__(self, regions: RegionFinder) -> None:
        self.regions = regions

    def add(
        self,
        codes: Codes,
        change: CodeChange,
        where: Where,
        threshold: float | int,
        name: str,
        random: CodeChange | None = None,
    ) -> Codes:
        """The objects with a local edit on top of those they have.

        Args:
            change: of the whole objects, without the local edits that they have.
            threshold: of a phrase; as :meth:`RegionFinder.find`.
            name: of the edit, for people.
            random: the same change of :func:`random_appearances`, where it asks for a color, which
                the part is to have even where the generator never gives it to such a part; see
                ``recolor.py``.
        Raises:
            UsageError: as :meth:`RegionFinder.find`; or no object has such a part.
        Warns:
            UserWarning: objects without such a part, which stay as they are.
        """
        before, after, regions = change.before, change.after, self.regions
        region = regions.find(before, where, threshold)
        has = torch.ones(len(before), dtype=torch.bool, device=before.shape.device)
        if isinstance(region, PhraseRegion):
            sure = replace(region, threshold=region.threshold.clamp(min=SURE))
            has = regions.share(before, sure) >= LEAST_SHARE
            if not torch.equal(after.shape, before.shape):
                has |= regions.share(after, sure) >= LEAST_SHARE  # a part that the edit brings
        lack = [row for row, there in enumerate(has.tolist()) if not there]
        if lack and not has.any():
            raise UsageError(
                f"no such part: {where!r} is on none of the objects; name another part, or "
                f"lower the threshold ({threshold:g})"
            )
        if lack:
            rows = ", ".join(map(str, lack))
            warn(
                f"no such part: {where!r} is not on object {rows} of {len(before)}, counted "
                "from 0; unchanged"
            )
        shape, appearance = (
            None if torch.equal(new, old.to(new.device)) else new
            for old, new in ((before.shape, after.shape), (before.appearance, after.appearance))
        )
        if shape is None and appearance is None:
            return codes
        edit = LocalEdit(region, shape, appearance, has[:, None].float(), name)
        if random is not None:
            edit = recolored(regions.generator, before, edit, random)
        there = codes.to(regions.generator.device)
        return replace(there, layers=(*there.layers, edit))


def last_of(edits: Mapping[str, str] | Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of phrase and text; of several for one phrase the last.

    Raises:
        UsageError: no edit at all.
    Warns:
        UserWarning: a phrase that is named twice.
    """
    try:
        pairs = [(p, t) for p, t in (edits.items() if isinstance(edits, Mapping) else list(edits))]
    except (TypeError, ValueError):
        refuse("edits", edits, "pairs of phrase and text, such as {'the seat': 'red'}")
    for phrase, _ in pairs:
        check("edits", phrase, Caption)
    if not pairs:
        raise UsageError("no local edit is given; give some, such as {'the seat': 'red'}")
    last = {" ".join(phrase.lower().split()): number for number, (phrase, _) in enumerate(pairs)}
    kept = sorted(last.values())
    if len(kept) < len(pairs):
        doubled = [pairs[n][0] for n in range(len(pairs)) if n not in kept]
        warn(f"{', '.join(map(repr, doubled))} is edited more than once; the last edit counts")
    return [pairs[number] for number in kept]
