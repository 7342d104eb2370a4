"""One self-contained HTML page: no script, no request, pictures inside as data URIs.

What is text is escaped here and nowhere else: `Html` is markup, `str` is not.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from clipnerf.errors import ClipNerfError

LARGEST = 5_000_000
"""Bytes a page may have."""


class Html(str):
    """Text that is markup already."""


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

    def picture(self, picture: UInt8[np.ndarray, "height width 3"], says: str) -> Html:
        """An <img> that is as wide as there is room, at most its own width times two."""
        uri, (height, width) = self.uri(picture), picture.shape[:2]
        return Html(
            f'<img src="{uri}" alt="{text(says)}" width="{2 * width}" height="{2 * height}">'
        )


ENCODERS = tuple(
    Encoder(quality, scale)
    for quality, scale in ((88, 1), (78, 1), (65, 1), (50, 1), (50, 0.75), (40, 0.5), (25, 0.25))
)
"""From the finest to the coarsest."""


def text(words: object) -> Html:
    """Words as they are to be read, whatever signs they hold; markup is left alone."""
    return words if isinstance(words, Html) else Html(html.escape(str(words), quote=True))


def element(name: str, *inside: object, **attributes: str) -> Html:
    """<name attribute="...">inside</name>; ``class_`` is the attribute class."""
    given = "".join(f' {key.rstrip("_")}="{text(v)}"' for key, v in attributes.items())
    return Html(f"<{name}{given}>{''.join(map(text, inside))}</{name}>")


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> Html:
    """A table that scrolls sideways where it is too wide; the first column names the row."""
    top = element("tr", *(element("th", each, scope="col") for each in head))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", e) for e in row[1:]))
        for row in rows
    ]
    whole = element("table", element("thead", top), element("tbody", *body))
    return element("div", whole, class_="wide")


def figure(picture: Html, *caption: object) -> Html:
    """A picture with words beneath."""
    return element("figure", picture, element("figcaption", *caption))


def section(title: str, *inside: object) -> Html:
    """A part of the page under a heading that can be linked to."""
    name = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return element("section", element("h2", title), *inside, id=name)


def document(title: str, *inside: object) -> str:
    """The whole page."""
    body = element("main", *inside)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def fitting(build: Callable[[Encoder], str], largest: int = LARGEST) -> str:
    """The page with the finest pictures with which it has at most ``largest`` bytes.

    Raises:
        ClipNerfError: too large even with the coarsest ones.
    """
    for encoder in ENCODERS:
        made = build(encoder)
        if len(made.encode()) <= largest:
            return made
    raise ClipNerfError(
        f"the page has {len(made.encode()):,} bytes with the coarsest pictures; allowed: "
        f"{largest:,}; ask for fewer prompts or objects"
    )


STYLE = """
:root{color-scheme:light dark;--ink:#1c2126;--soft:#5c6670;--paper:#fbfaf8;--card:#fff;
--line:#dfe2e5;--good:#16794a;--bad:#b3361e;--bar:#4a7fb5;--bar2:#d98a3d}
@media(prefers-color-scheme:dark){:root{--ink:#e4e6e8;--soft:#9aa4ad;--paper:#15181b;--card:#1e2226;
--line:#343a40;--good:#5fc992;--bad:#f08a72;--bar:#6ea3d8;--bar2:#e0a468}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:72rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:.2em 0}
h2{font-size:1.25rem;margin:2.6rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
h3{font-size:1.02rem;margin:1.4rem 0 .4rem}
p{max-width:48rem;margin:.5rem 0}
.soft,figcaption,small{color:var(--soft);font-size:.88rem}
.wide{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th[scope=row],thead th:first-child{text-align:left;font-weight:500}
thead th{color:var(--soft);font-weight:600}
.met{color:var(--good);font-weight:600}
.missed{color:var(--bad);font-weight:600}
.note{border-left:4px solid var(--bar2);padding:.4rem .8rem;background:var(--card);margin:.7rem 0}
.cards{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr))}
.small{grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr))}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:.6rem;overflow-wrap:anywhere}
figcaption{margin-top:.4rem}
figcaption b{color:var(--ink)}
img{display:block;max-width:100%;height:auto;border-radius:4px;background:#fff}
.bars{display:grid;grid-template-columns:auto 1fr auto;gap:.1rem .6rem;font-size:.88rem;
align-items:center}
.bars i{display:block;height:.45rem;border-radius:2px;background:var(--bar);margin:1px 0}
.bars i+i{background:var(--bar2)}
nav{font-size:.92rem;margin:.8rem 0}nav a{margin-right:1rem}a{color:var(--bar)}
"""
