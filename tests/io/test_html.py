"""Pages: text is escaped, pictures are inside and as fine as the size allows."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from clipnerf.errors import ClipNerfError
from clipnerf.io.html import (
    ENCODERS,
    Encoder,
    Html,
    document,
    element,
    figure,
    fitting,
    section,
    table,
    text,
)

FLAT = np.full((32, 48, 3), 200, np.uint8)
NOISE = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)


def decoded(uri: str) -> np.ndarray:
    kind, content = re.fullmatch(r"data:image/(\w+);base64,(.+)", uri).groups()
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert picture.format.lower() == kind
        return np.asarray(picture.convert("RGB"))


def test_pictures_come_back():
    assert np.abs(decoded(Encoder(90).uri(FLAT)).astype(int) - FLAT).max() <= 3
    assert decoded(Encoder(50, 0.5).uri(NOISE)).shape == (32, 32, 3)
    fine, coarse = (len(Encoder(quality).uri(NOISE)) for quality in (88, 25))
    assert coarse < 0.7 * fine
    sizes = [len(encoder.uri(NOISE)) for encoder in ENCODERS]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 10


def test_words_are_escaped_everywhere():
    evil = '<script>alert("1")</script>&'
    safe = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;"
    pieces = [
        text(evil),
        element("p", evil),
        element("a", "x", href=evil),
        table([evil], [[evil, evil]]),
        figure(Encoder(50).picture(FLAT, evil), evil),
        section(evil, evil),
        Html(document(evil, evil)),
    ]
    for piece in pieces:
        assert "<script" not in piece and safe in piece, piece
    assert element("p", Html("<b>"), class_="a b") == '<p class="a b"><b></p>'


def test_a_page_asks_for_nothing():
    page = document("t", section("Two codes", Encoder(80).picture(FLAT, "flat")))
    assert page.startswith("<!doctype html>") and '<section id="two-codes">' in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http" not in page and "@import" not in page and "url(" not in page
    assert "prefers-color-scheme:dark" in page and "width=device-width" in page


def test_a_page_shrinks_until_it_fits():
    used: list[Encoder] = []

    def build(encoder: Encoder) -> str:
        used.append(encoder)
        return document("t", *(encoder.picture(NOISE, "noise") for _ in range(10)))

    whole = len(fitting(build).encode())
    assert used == [ENCODERS[0]]
    for share in (0.7, 0.4, 0.2):
        used.clear()
        limit = int(share * whole)
        made = fitting(build, limit)
        assert len(made.encode()) <= limit and made.count("<img") == 10
        assert len(build(ENCODERS[len(used) - 2]).encode()) > limit  # none finer would have done
    with pytest.raises(ClipNerfError, match="bytes with the coarsest pictures; allowed: 500"):
        fitting(build, 500)
