"""Markup of the page: what a visitor wrote is shown as text; what can be clicked tells the server.

viser's own controls are neither pictures nor rows. Ours are plain buttons that write what was asked
for into a hidden input of viser's, which sends it on like anything typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from clipnerf.data.procedural.colors import COLORS
from clipnerf.io.html import ENCODERS

SIGN = "act:"
"""What the hidden input begins with."""
LONGEST_SHOWN = 120

STYLE = """<style>
div:has(> .mantine-Flex-root > div > div > div > input[value^="act:"]) {display: none}
.cn {font-size: 0.8em; padding: 0 0.8em 0.4em; line-height: 1.45}
.cn button {font: inherit; border: 1px solid #c9d2dd; border-radius: 4px; background: #fff;
  color: inherit; cursor: pointer; padding: 0.1em 0.45em}
.cn button:hover {border-color: #245ca8}
.cn button:disabled {cursor: default; color: #9aa4b0; border-color: #e3e7ec}
.cn button.on {border-color: #245ca8; box-shadow: 0 0 0 1px #245ca8}
.cn .thumbs {display: grid; grid-template-columns: repeat(4, 1fr); gap: 4px}
.cn .thumbs button {padding: 2px; font-size: 0.85em}
.cn .thumbs img {width: 100%; display: block}
.cn .row {display: flex; gap: 0.4em; align-items: baseline; margin-bottom: 3px}
.cn .row .name {flex: 1; text-align: left; overflow-wrap: anywhere}
.cn .off .name {color: #9aa4b0; text-decoration: line-through}
.cn .swatches button {width: 1.7em; height: 1.7em; padding: 0; margin: 0 3px 3px 0}
.cn .warn {color: #a15400}
.cn .quiet {color: #6b7684}
.cn .drop {border: 1px dashed #9aa4b0; border-radius: 4px; padding: 0.8em; text-align: center}
.cn pre {white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f6f9; padding: 0.5em;
  border-radius: 4px; user-select: all; font-size: 0.92em; margin: 0.2em 0 0.5em}
</style>"""

_TELL = (
    "const i=[...document.querySelectorAll('input')].find(e=>e.value.startsWith('act:'));"
    "Object.getOwnPropertyDescriptor(HTMLInputElement.prototype,'value').set.call(i,"
    "'act:'+this.dataset.act+' '+Date.now());i.dispatchEvent(new Event('input',{bubbles:true}))"
)
_DROP = (
    "event.preventDefault();const i=document.getElementById(this.dataset.input);"
    "if(i&&event.dataTransfer.files.length){i.files=event.dataTransfer.files;"
    "i.dispatchEvent(new Event('change',{bubbles:true}))}"
)


def text(words: str) -> str:
    """Words of a visitor, as text and no longer than a line or two."""
    shown = words if len(words) <= LONGEST_SHOWN else f"{words[: LONGEST_SHOWN - 1].rstrip()}…"
    return escape(shown)


def box(*inside: str) -> str:
    """A block of the page."""
    return f'<div class="cn">{"".join(inside)}</div>'


def button(
    act: str,
    inside: str,
    *,
    title: str = "",
    chosen: bool = False,
    disabled: bool = False,
    style: str = "",
    kind: str = "",
) -> str:
    """A button; ``act`` is what the server gets, ``inside`` is markup."""
    classes = " ".join(filter(None, (kind, "on" if chosen else "")))
    return (
        f'<button type="button" data-act="{escape(act)}" title="{escape(title)}" '
        f'class="{classes}" style="{style}" onclick="{_TELL}"'
        f"{' disabled' if disabled else ''}>{inside}</button>"
    )


def picture(pixels: np.ndarray) -> str:
    """A picture [height, width, 3], 0 to 255, inside of the page itself."""
    return f'<img alt="" src="{ENCODERS[0].uri(pixels)}">'


def thumbs(cells: Sequence[tuple[str, np.ndarray | None, str, bool]], columns: int = 4) -> str:
    """Pictures to choose from: what is told, the picture, its label, whether it is chosen."""
    made = [
        button(act, (picture(pixels) if pixels is not None else "") + text(label), chosen=chosen)
        for act, pixels, label, chosen in cells
    ]
    style = f"grid-template-columns: repeat({columns}, 1fr)"
    return f'<div class="thumbs" style="{style}">{"".join(made)}</div>'


def swatches(disabled: bool = False) -> str:
    """A button for each color that has a name."""
    made = []
    for name, rgb in COLORS.items():
        levels = ", ".join(str(round(255 * channel)) for channel in rgb)
        style = f"background: rgb({levels})"
        made.append(button(f"color {name}", "", title=name, style=style, disabled=disabled))
    return f'<div class="swatches">{"".join(made)}</div>'


def drop_zone(input_id: str, words: str) -> str:
    """A place to drop a picture; it goes where viser's own button sends one."""
    return box(
        f'<div class="drop" data-input="{escape(input_id)}" ondragover="event.preventDefault()" '
        f'ondrop="{_DROP}">{text(words)}</div>'
    )


def told(value: str) -> tuple[str, str]:
    """What was clicked, and its argument, from the hidden input's value."""
    words = value.removeprefix(SIGN).rsplit(" ", 1)[0]
    what, _, argument = words.partition(" ")
    return what, argument
