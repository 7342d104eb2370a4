"""Page: one visitor's controls and picture, wired to their session and to the renderer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clipnerf.errors import ClipNerfError
from clipnerf.gan.codes import Codes
from clipnerf.viewer import markup, parts
from clipnerf.viewer.compare_tab import CompareTab
from clipnerf.viewer.drawing import Compare, Eye, Scene, View
from clipnerf.viewer.edit_tab import EditTab
from clipnerf.viewer.object_tab import ObjectTab
from clipnerf.viewer.path_tab import PathTab
from clipnerf.viewer.save_tab import SaveTab
from clipnerf.viewer.session import Session

if TYPE_CHECKING:
    import viser

    from clipnerf.viewer.server import Viewer

COARSE_QUALITY, FINE_QUALITY = 80, 92
NEAREST, FARTHEST = 0.4, 2.5
"""Distances of the camera, shares of the prior's."""
CLICK_HINT = "drag to turn · scroll to come closer · click on a part to color it"


class Page:
    """See the head of this file.

    Args:
        viewer: what all visitors share.
        client: the visitor's browser.
    """

    def __init__(self, viewer: Viewer, client: viser.ClientHandle) -> None:
        self.viewer, self.client, self.editor = viewer, client, viewer.editor
        self.session = Session(viewer.editor, viewer.said)
        self.eye = Eye(viewer.editor.generator, viewer.pace)
        self.compare: Compare = "after"
        self.at, self.lit, self.closed = 0.5, "", False
        self.played: View | None = None
        self.acts: dict[str, Callable[[str], None]] = {}
        self._tinted: tuple[Codes, str, Codes] | None = None
        prior = viewer.editor.generator.config.camera
        client.camera.min_orbit_distance = NEAREST * prior.radius
        client.camera.max_orbit_distance = FARTHEST * prior.radius
        self._build()
        client.camera.on_update(lambda _: self.ask())
        client.scene.on_click()(self._clicked)
        self.changed()

    @property
    def lacks(self) -> dict[str, str]:
        """What the bundle cannot do, and why."""
        return self.viewer.lacks

    @property
    def view(self) -> View:
        """Where the visitor looks from, or where a camera path that plays has led."""
        if (played := self.played) is not None:
            return played
        camera = self.client.camera
        w, x, y, z = (float(value) for value in camera.wxyz)
        c2w = torch.eye(4)
        c2w[:3, :3] = torch.tensor(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        c2w[:3, 3] = torch.tensor(np.asarray(camera.position, dtype=np.float32))
        aspect = min(max(camera.image_width / max(camera.image_height, 1), 0.2), 5.0)
        return View(c2w, float(np.degrees(camera.fov)), aspect)

    @property
    def angles_deg(self) -> tuple[float, float]:
        """Azimuth and elevation of the view."""
        return self.view.angles_deg(self.editor.generator.config.front_azimuth_deg)

    def changed(self, *, dials: bool = True) -> None:
        """After anything the visitor did: all controls, and a new picture.

        Args:
            dials: move the dials to where the state has them; not while one is dragged.
        """
        self.ask()
        self.edit_tab.refresh(dials=dials)
        self.object_tab.refresh()
        self.compare_tab.refresh()
        self.save_tab.refresh()

    def ask(self) -> None:
        """Wishes for a picture of how everything is now."""
        if not self.closed:
            self.viewer.renderer.ask(self, self._drawing, self._show, self._failed)

    def scene(self, *, tinted: bool = True) -> Scene:
        """What is to be seen now; the edits are computed here."""
        before, after = self.session.unedited(), self.session.edited()
        if tinted and self.lit:
            after = self._tint(after)
        return Scene(before, after, self.view, self.compare, self.at)

    def say(self, *lines: str, warn: bool = False) -> None:
        """A message that stays until the next."""
        kind = "warn" if warn else "quiet"
        shown = "".join(f'<div class="{kind}">{markup.text(line)}</div>' for line in lines)
        self._message.content = markup.box(shown or f'<div class="quiet">{CLICK_HINT}</div>')

    @contextlib.contextmanager
    def trying(self) -> Iterator[None]:
        """What goes wrong inside is said on the page."""
        try:
            yield
        except ClipNerfError as error:
            self.say(" ".join(str(error).split()), warn=True)

    def close(self) -> None:
        """The tab was closed: everything it held is let go."""
        self.closed = True
        self.viewer.renderer.forget(self)
        self.object_tab.close()
        self.path_tab.close()
        self.save_tab.close()
        self.session.close()
        self.eye.forget()
        self.acts.clear()
        self._tinted = None

    def _build(self) -> None:
        gui = self.client.gui
        self._style = gui.add_html(markup.STYLE)
        self._told = gui.add_text("act", f"{markup.SIGN}none 0")
        self._told.on_update(self._act)
        self._message = gui.add_html("")
        tabs = gui.add_tab_group()
        for name, make in (
            ("Edit", EditTab),
            ("Object", ObjectTab),
            ("Compare", CompareTab),
            ("Path", PathTab),
            ("Save", SaveTab),
        ):
            with tabs.add_tab(name):
                setattr(self, f"{name.lower()}_tab", make(self))
        self.say()

    edit_tab: EditTab
    object_tab: ObjectTab
    compare_tab: CompareTab
    path_tab: PathTab
    save_tab: SaveTab

    def _act(self, event: Any) -> None:
        """A button of ours was clicked."""
        if event.client is None:
            return
        what, argument = markup.told(self._told.value)
        if what in self.acts:
            with self.trying():
                self.acts[what](argument)

    def _clicked(self, event: Any) -> None:
        """On the picture: the part under the pointer lights up."""
        if "parts" in self.lacks:
            self.say(self.lacks["parts"], warn=True)
            return
        x, y = event.screen_pos
        view = self.view
        if self.compare == "side by side":
            view = View(view.c2w, view.fov_deg, view.aspect / 2)
            x = x * 2 % 1
        with self.trying():
            found = parts.under(self.editor, self.session.edited(), view, (x, y), self.viewer.named)
            self.lit = found[0] if found else ""
            self.edit_tab.found = found
            self.say(
                *([f"{self.lit}: choose its color, or type what it is to become"] if found else [])
            )
            self.changed()

    def _tint(self, codes: Codes) -> Codes:
        kept = self._tinted
        if kept is None or kept[0] is not codes or kept[1] != self.lit:
            kept = self._tinted = (codes, self.lit, parts.lit(self.editor, codes, self.lit))
        return kept[2]

    def _drawing(self) -> Iterator[Any]:
        scene = self.scene()
        self.edit_tab.tell()
        yield from self.eye.draw(scene)
        yield from self.object_tab.draw_strip()

    def _show(self, picture: np.ndarray) -> None:
        coarse = picture.shape[0] <= self.viewer.pace.coarse
        self.client.scene.set_background_image(
            picture, format="jpeg", jpeg_quality=COARSE_QUALITY if coarse else FINE_QUALITY
        )
        self.client.flush()

    def _failed(self, error: Exception) -> None:
        if not self.closed:
            known = isinstance(error, ClipNerfError)
            self.say(str(error) if known else f"{type(error).__name__}: {error}", warn=True)
