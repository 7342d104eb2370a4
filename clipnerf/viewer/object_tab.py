"""The tab where one chooses the object: seeds, a strip of eight, blends, photographs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from clipnerf.io.sheet import to_uint8
from clipnerf.training.progress import told
from clipnerf.viewer import markup
from clipnerf.viewer.hearing import heard
from clipnerf.viewer.state import BLEND_STEPS, LARGEST_SEED, Source

if TYPE_CHECKING:
    from clipnerf.viewer.page import Page

STRIP, TILE, SAMPLES = 8, 64, 12
FIND, LIKE = "find the object in it", "make mine like it"


class ObjectTab:
    """See the head of this file."""

    def __init__(self, page: Page) -> None:
        self.page = page
        gui: Any = page.client.gui
        self._folder = TemporaryDirectory(prefix="clipnerf-view-")
        self._photos, self._stop = 0, threading.Event()
        self._busy = threading.Lock()
        self._strip_of, self._tiles = -1, list[Any]()
        self._name = gui.add_html("")
        self._seed = gui.add_number("Seed", 0, min=0, max=LARGEST_SEED, step=1)
        self._seed.on_update(self._typed)
        self._strip = gui.add_html("")
        self._other = gui.add_number("Blend with seed", 1, min=0, max=LARGEST_SEED, step=1)
        self._steps = gui.add_slider("Blend", 0.0, 1.0, 1 / BLEND_STEPS, 0.0)
        for control in (self._other, self._steps):
            control.on_update(self._blended)
        self._build_photo()
        page.acts.update(
            step=lambda by: self._took(int(by)),
            seed=lambda seed: self._at(int(seed)),
            stop=lambda _: self._stop.set(),
        )

    def refresh(self) -> None:
        """Shows the state."""
        state = self.page.session.state
        blend = f" · blended with {state.other.name}" if state.blended and state.other else ""
        self._name.content = markup.box(
            '<div class="row">',
            markup.button("step -1", "◀", title="the seed before"),
            f'<span class="name">{markup.text(state.source.name)}{markup.text(blend)}</span>',
            markup.button("step 1", "▶", title="the next seed"),
            "</div>",
        )
        if not state.source.photo:
            self._seed.value = state.source.seed
        if state.other is not None:
            self._other.value = state.other.seed
        self._steps.value = state.steps / BLEND_STEPS
        self._show_strip()

    def close(self) -> None:
        """Ends what is under way, and removes what was dropped in."""
        self._stop.set()
        with self._busy:
            self._folder.cleanup()

    def _build_photo(self) -> None:
        gui: Any = self.page.client.gui
        lacks = self.page.lacks
        ways = [
            way for way, control in ((FIND, "photo"), (LIKE, "exemplar")) if control not in lacks
        ]
        self._way = gui.add_dropdown(
            "A photograph", ways or [FIND], disabled=not ways, initial_value=(ways or [FIND])[0]
        )
        self._upload = gui.add_upload_button(
            "Photograph…",
            mime_type="image/*",
            disabled=not ways,
            hint="one object of the category, whole, on a white background",
        )
        self._upload.on_upload(lambda _: self._dropped())
        reasons = {lacks[control] for control in ("photo", "exemplar") if control in lacks}
        why = "".join(f'<div class="quiet">{markup.text(reason)}</div>' for reason in reasons)
        if ways:
            uuid = self._upload._impl.uuid
            gui.add_html(markup.drop_zone(f"file_upload_{uuid}", "or drop a picture here"))
        gui.add_html(markup.box(why))
        self._progress = gui.add_progress_bar(0.0, visible=False)
        self._doing = gui.add_html("")

    def draw_strip(self) -> Iterator[None]:
        """The eight seeds around the object's, one at a time, once the object itself is drawn."""
        page, first = self.page, self._first
        if first == self._strip_of:
            return
        tiles = []
        for seed in range(first, min(first + STRIP, LARGEST_SEED + 1)):
            view = page.editor.render(page.editor.sample([seed]), 30, 20, TILE, samples=SAMPLES)
            tiles += to_uint8(view.rgb)
            yield None
        self._strip_of, self._tiles = first, tiles
        self._show_strip()

    @property
    def _first(self) -> int:
        return self.page.session.state.source.seed // STRIP * STRIP

    def _show_strip(self) -> None:
        state, first = self.page.session.state, self._first
        tiles = self._tiles if first == self._strip_of else [None] * STRIP
        cells = [
            (
                f"seed {first + n}",
                tile,
                str(first + n),
                first + n == state.source.seed and not state.source.photo,
            )
            for n, tile in enumerate(tiles)
        ]
        self._strip.content = markup.box(
            markup.thumbs(cells),
            markup.button(f"step {-STRIP}", "◀ eight before"),
            " ",
            markup.button(f"step {STRIP}", "eight more ▶"),
        )

    def _took(self, by: int) -> None:
        page = self.page
        page.session.take(page.session.state.source.step(by))
        page.lit = ""
        page.changed()

    def _at(self, seed: int) -> None:
        self.page.session.take(Source(seed))
        self.page.changed()

    def _typed(self, event: Any) -> None:
        if event.client is not None:
            self._at(int(self._seed.value))

    def _blended(self, event: Any) -> None:
        if event.client is None:
            return
        session, steps = self.page.session, round(self._steps.value * BLEND_STEPS)
        other = Source(int(self._other.value))
        session.become(replace(session.state, other=other, steps=steps), "blend")
        self.page.ask()
        self.page.save_tab.refresh()

    def _dropped(self) -> None:
        """A picture came in: it is looked for, or becomes an exemplar."""
        page, file = self.page, self._upload.value
        if not self._busy.acquire(blocking=False):
            page.say("one photograph at a time; the last is not done yet", warn=True)
            return
        try:
            self._photos += 1
            ending = Path(file.name).suffix.lower()
            ending = ending if ending.removeprefix(".").isalnum() and len(ending) < 6 else ".png"
            path = Path(self._folder.name) / f"{self._photos}{ending}"
            path.write_bytes(file.content)
            with page.trying():
                if self._way.value == LIKE:
                    page.session.exemplar(str(path), file.name)
                    page.say()
                else:
                    self._find(path, file.name)
                page.changed()
        finally:
            self._progress.visible, self._doing.content = False, ""
            self._busy.release()

    def _find(self, path: Path, name: str) -> None:
        """Inverts the photograph; what is found until a stop is taken."""
        page = self.page
        self._stop.clear()
        self._progress.visible = True
        self._doing.content = markup.box(
            f"looking for the object in {markup.text(name)} … ", markup.button("stop", "stop")
        )

        def step(done: int, total: int) -> None:
            self._progress.value = 100 * done / max(total, 1)
            if self._stop.is_set():
                raise KeyboardInterrupt

        with told(step), heard() as said:
            found = page.editor.invert(str(path))
        known = {source.photo for source in [page.session.state.source]}
        shown = f"{name} ({self._photos})" if name in known else name
        page.session.take(Source(photo=shown, found=found.codes.to(torch.device("cpu"))))
        share = f"{float(found.foreground_r2[0]):.0%} of the picture is shown again"
        page.say(f"found: {share}", *said, warn=bool(said))
