"""The tab where one makes a film: views are kept, played, and saved as a camera path."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from clipnerf.viewer import markup, path
from clipnerf.viewer.drawing import View

if TYPE_CHECKING:
    from clipnerf.viewer.page import Page

MOST = 50
FILE = "camera_path.json"


class PathTab:
    """See the head of this file."""

    def __init__(self, page: Page) -> None:
        self.page, self.views = page, list[View]()
        gui: Any = page.client.gui
        self._playing, self._stop = threading.Lock(), threading.Event()
        self._shown = gui.add_html("")
        page.acts.update(
            keep=self._kept,
            forget=self._forgot,
            play=self._played,
            rest=lambda _: self._stop.set(),
            path=self._saved,
        )
        self.refresh()

    def refresh(self) -> None:
        """Shows how long the path is."""
        count, playing = len(self.views), self._playing.locked()
        seconds = max(count - 1, 0) * path.STEP_FRAMES / path.FPS
        few = count < 2
        buttons = (
            markup.button("keep", "add this view", disabled=playing or count >= MOST),
            markup.button("rest", "stop")
            if playing
            else markup.button("play", "play", disabled=few),
            markup.button("path", "save path", disabled=few or playing),
            markup.button("forget", "forget the last", disabled=playing or not count),
        )
        said = f"{count} view{'' if count == 1 else 's'}, {seconds:g} s"
        how = (
            f"clipnerf orbit … --camera_path {FILE} films along it, and nerfstudio reads it"
            if not few
            else "turn the object and add two views or more: the film leads from each to the next"
        )
        self._shown.content = markup.box(
            f"Camera path: {said}",
            f'<div class="row">{"".join(buttons)}</div>',
            f'<div class="quiet">{how}</div>',
        )

    def close(self) -> None:
        """Ends what is playing."""
        self._stop.set()

    def _kept(self, _: str) -> None:
        if len(self.views) < MOST and not self._playing.locked():
            self.views.append(self.page.view)
            self.refresh()

    def _forgot(self, _: str) -> None:
        if self.views and not self._playing.locked():
            self.views.pop()
            self.refresh()

    def _played(self, _: str) -> None:
        """Shows the path, as coarsely as is fast enough; the visitor's own view comes back."""
        page = self.page
        if len(self.views) < 2 or not self._playing.acquire(blocking=False):
            return
        try:
            self._stop.clear()
            self.refresh()
            way, begun = path.along(self.views), time.monotonic()
            while (frame := int((time.monotonic() - begun) * path.FPS)) < len(way):
                page.played = way[frame]
                page.ask()
                if self._stop.wait(1 / path.FPS):
                    break
        finally:
            page.played = None
            self._playing.release()
            if not page.closed:
                page.ask()
                self.refresh()

    def _saved(self, _: str) -> None:
        if len(self.views) < 2:
            return
        front = self.page.editor.generator.config.front_azimuth_deg
        content = path.file_of(self.views, front)
        self.page.client.send_file_download(FILE, content, save_immediately=True)
        self.page.say(f"saved {FILE}: clipnerf orbit --camera_path {FILE} films along it")
