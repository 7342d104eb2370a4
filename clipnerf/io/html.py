"""One self-contained HTML page from a Jinja2 template: no request, pictures inside as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from clipnerf.errors import ClipNerfError

LARGEST = 5_000_000
"""Bytes a page may have."""


@dataclass(frozen=True)
class Encoder:
    """How pictures are put into a page: quality of JPEG and WebP, 1 to 100; scale of the sides."""

    quality: int
    scale: float | int = 1.0

    def uri(self, picture: UInt8[np.ndarray, "height width 3"]) -> str:
        """The picture as a data URI: the smallest of JPEG, WebP and PNG."""
        image = Image.fromarray(np.ascontiguousarray(picture))
        if self.scale != 1:
            size = [max(1, round(side * self.scale)) for side in image.size]
            image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
        kinds: list[tuple[str, dict]] = [
            ("JPEG", {"quality": self.quality, "optimize": True}),
            ("WEBP", {"quality": self.quality, "method": 2}),
            ("PNG", {"optimize": True}),
        ]
        encoded = []
        for kind, options in kinds:
            buffer = io.BytesIO()
            image.save(buffer, format=kind, **options)
            encoded.append((len(buffer.getvalue()), kind.lower(), buffer.getvalue()))
        _, kind, content = min(encoded)
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


ENCODERS = tuple(
    Encoder(quality, scale)
    for quality, scale in ((88, 1), (78, 1), (65, 1), (50, 1), (50, 0.75), (40, 0.5), (25, 0.25))
)
"""From the finest to the coarsest."""


def render(template: Path, largest: int = LARGEST, **values: object) -> str:
    """The template filled in, with the finest pictures with which it has at most ``largest`` bytes.

    Args:
        template: may include files of its folder; ``data_uri`` in it makes a URI of a picture
            (UInt8 [height, width, 3]).
        values: names of the template; text in them is escaped, a name that is missing is an error.

    Raises:
        ClipNerfError: too large even with the coarsest pictures.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template(template.name)
    for encoder in ENCODERS:
        made = page.render(values, data_uri=encoder.uri)
        if len(made.encode()) <= largest:
            return made
    raise ClipNerfError(
        f"the page has {len(made.encode()):,} bytes with the coarsest pictures; allowed: "
        f"{largest:,}; ask for fewer prompts or objects"
    )
