"""Editor: sample objects of a category, edit them by words or by a picture, look at them.

An edit goes one way: words or pictures become conditions (``conditions.py``), by which the mappers
move codes (``mapping.py``), and a region confines what they made (``local_edit.py``). Codes are
values that nothing changes in place: what stood before an edit is still there, and is its undo.
docs/editing.md tells the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.inversion import InversionConfig
from clipnerf.config.verbs import load
from clipnerf.data.pictures import Picture
from clipnerf.editor import morph
from clipnerf.editor.bundle import load_bundle
from clipnerf.editor.conditions import ConditionEncoder, Text, bare_prompt
from clipnerf.editor.exemplar import Exemplar
from clipnerf.editor.local_edit import LocalEditor, last_of
from clipnerf.editor.mapping import MapperEditor
from clipnerf.editor.recolor import random_appearances
from clipnerf.editor.regions import THRESHOLD, RegionFinder, Where
from clipnerf.editor.showing import Showing
from clipnerf.editor.views import Angle, camera_at
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.invert import invert_photos
from clipnerf.inversion.result import Inversion
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.universal import Universal
from clipnerf.rendering.cameras import Camera

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip


class Editor(Showing):
    """A frozen generator with the CLIP model and the mappers that belong to it.

    Args:
        generator: frozen.
        clip: the model that the mappers were trained with; None: objects cannot be edited.
        mappers: at most one of the paper's for each of the two codes, or the universal one.
        encoder: sees pose and codes in a picture; without it :meth:`invert` takes longer.
        parts: finds the parts that words name; without it only boxes and painted masks do.
    """

    def __init__(
        self,
        generator: Generator,
        clip: Clip | None = None,
        mappers: Sequence[Mapper] | Universal = (),
        encoder: Encoder | None = None,
        parts: RegionFinder | None = None,
    ) -> None:
        self.generator, self.clip, self.encoder = generator, clip, encoder
        self.parts = RegionFinder(generator) if parts is None else parts
        self.universal = mappers if isinstance(mappers, Universal) else None
        halves = (mappers.shape, mappers.appearance) if isinstance(mappers, Universal) else mappers
        self.mappers = {mapper.which: mapper for mapper in halves}
        self._random = random_appearances(generator)
        # the three stages of an edit
        self._conditions = ConditionEncoder(generator, clip, self.mappers, self.universal)
        self._mapping = MapperEditor(self.mappers)
        self._local = LocalEditor(self.parts)

    @classmethod
    def load(
        cls, path: str | Path, device: str | torch.device | None = None, mapper: str | None = None
    ) -> Editor:
        """Reads a bundle: a folder of generator, clip, mappers and encoder.

        A bundle without CLIP or without a mapper can be looked at, but not edited that way.

        Args:
            path: the folder; its files end in .safetensors. Or the name of a bundle that comes
                with the project: chairs, cars.
            device: auto (also None: cuda where there is one), cpu or cuda.
            mapper: 'universal' or 'paper'; by default universal where the bundle has it.
        Raises:
            UsageError: no bundle, a broken file, mappers of another generator or CLIP, or a kind
                of mapper that the bundle does not have.
        """
        return cls(*load_bundle(path, device, mapper))

    from_pretrained = load
    """:meth:`load`, under the name that other libraries have for it."""

    @torch.no_grad()
    def edit(
        self,
        codes: Codes,
        text: Text | None = None,
        shape: float | int | None = None,
        appearance: float | int | None = None,
        *,
        image: Exemplar | None = None,
        region: Where | None = None,
        threshold: float | int = THRESHOLD,
    ) -> Codes:
        """The objects, any number, changed towards words or a picture; edits compose.

        Args:
            text: any prompt for all objects, a list with one for each, or several at once with
                their weights: {"a red chair": 1, "a chair with a high back": 0.5} adds the changes
                that each would make alone, weighted.
            shape, appearance: strengths of the two mappers; 0 changes nothing, 1 is what they
                were trained for, others (also below 0) extrapolate. Strength 0 for both returns
                the very same codes. By default the words decide, with a universal mapper: "a red
                chair" leaves the shape alone to the last bit (see :meth:`route`). With the
                paper's mappers, and for pictures, the default is 1.
            image: an exemplar in the place of the text: the path of a picture, a PIL image or an
                array of bytes, a list with one for each object, or floats in [0, 1], [3, height,
                width] or [batch, 3, height, width], such as ``editor.render(other).rgb``.
            region: change this part alone: a phrase such as "the seat", a box (x0, y0, z0, x1,
                y1, z1; front +x, left +y, up +z), or a :class:`Painted` mask. Of words a bare
                color is enough: "red".
            threshold: of a phrase: how sure it has to be that a point belongs, in (0, 1).
        Raises:
            UsageError: both text and image or neither, empty text, a strength or weight that is
                no finite number, a picture that cannot be read, a number of prompts or pictures
                other than of objects, no mapper for a strength other than 0, no such region.
        Warns:
            UserWarning: words that the CLIP model does not know, text too long for it, or a
                prompt that lies outside what the model can do.
        """
        bare, asked = None, "the exemplar" if text is None else text
        if region is not None and isinstance(text, str):
            bare = bare_prompt(text, self.parts.noun)
        if bare is not None:  # a color, which leaves the shape alone
            text, shape = bare, 0 if shape is None else shape
        count = len(Codes.check(codes))
        conditions = self._conditions.encode(count, text, shape, appearance, image)
        if region is None:
            return self._mapping.change(codes, conditions).after
        plain = replace(codes.to(self.device), layers=())
        change = self._mapping.change(plain, conditions)
        random = self._mapping.change(self._random, conditions) if bare else None
        name = f"{region if isinstance(region, str) else 'the region'}: {asked}"
        return self._local.add(codes, change, region, threshold, name, random)

    def edit_parts(
        self,
        codes: Codes,
        edits: Mapping[str, str] | Sequence[tuple[str, str]],
        threshold: float | int = THRESHOLD,
    ) -> Codes:
        """Several local edits: ``{"the wheels": "black", "the body": "green"}``.

        Args:
            edits: phrase -> what the part is to become; of one phrase twice the last counts.
        Raises, Warns: as :meth:`edit`; a UserWarning for a phrase that is named twice.
        """
        for phrase, text in last_of(edits):
            codes = self.edit(codes, text, region=phrase, threshold=threshold)
        return codes

    def region_picture(
        self,
        codes: Codes,
        region: Where,
        azimuth_deg: Angle = 30,
        elevation_deg: Angle = 20,
        size: int = 64,
        camera: Camera | None = None,
        threshold: float | int = THRESHOLD,
    ) -> Float[Tensor, "batch 1 size size"]:
        """How much of each pixel shows a region, 0 to 1; cameras as for :meth:`render`."""
        if camera is None:
            camera = camera_at(self.generator, azimuth_deg, elevation_deg, size)
        codes = Codes.check(codes).to(self.device)
        return self.parts.picture(codes, self.parts.find(codes, region, threshold), camera)

    @torch.no_grad()
    def route(self, text: str) -> dict[str, float]:
        """How much of each mapper a prompt asks for: the default strengths of :meth:`edit`.

        Returns:
            {"shape": 0 to 1, "appearance": 0 to 1}; both 1 without a universal mapper.
        Raises:
            UsageError: empty text, or a bundle without CLIP.
        """
        return self._conditions.route(text)

    def invert(
        self,
        pictures: Exemplar,
        config: InversionConfig | None = None,
        *,
        background: str = "auto",
        mask: Picture | None = None,
        framing: str = "auto",
    ) -> Inversion:
        """Codes and cameras of the objects in pictures, one each; half a minute a picture on a CPU.

        ``editor.render(found.codes, camera=found.cameras)`` shows the reconstructions.

        Args:
            pictures: a photo (a path, a PIL image, an array of bytes) or a list of photos; or
                floats [batch, 3, size, size] in [0, 1], as the generator would show them.
            config: method, steps, weights; the defaults where None.
            background, mask, framing: of photos, as ``clipnerf invert --help`` says.
        Raises:
            UsageError: a photo that cannot be read or shows no object, or a value out of range.
        Warns:
            UserWarning: a background that is not white, or a poor reconstruction.
        """
        return invert_photos(
            self.generator,
            pictures,
            config,
            background=background,
            mask=mask,
            framing=framing,
            encoder=self.encoder,
            clip=self.clip,
        )

    interpolate = staticmethod(morph.interpolate)

    def view(self, **options: Any) -> None:
        """A page in the browser, until Ctrl-C; see :func:`clipnerf.viewer.server.serve`."""
        load("viewer.server:serve")(self, **options)  # by name: it is built on this class
