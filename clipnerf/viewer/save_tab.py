"""The tab where one takes things home: files, and the lines that make the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clipnerf.errors import UsageError
from clipnerf.training.progress import told
from clipnerf.viewer import markup, saving, snippets
from clipnerf.viewer.drawing import Eye

if TYPE_CHECKING:
    from clipnerf.viewer.page import Page


class Stopped(UsageError):
    """The visitor ended it."""


class SaveTab:
    """See the head of this file."""

    def __init__(self, page: Page) -> None:
        self.page = page
        gui: Any = page.client.gui
        self._stop, self._busy = threading.Event(), threading.Lock()
        self._buttons = gui.add_html("")
        self._progress = gui.add_progress_bar(0.0, visible=False)
        self._lines = gui.add_html("")
        page.acts.update(save=self._saved, halt=lambda _: self._stop.set(), lines=self._refreshed)
        self._show()

    def refresh(self) -> None:
        """Shows the lines of the state."""
        page = self.page
        place = (page.view.c2w, *page.angles_deg)[1:]
        state, bundle = page.session.state, page.viewer.bundle
        commands = snippets.command_lines(bundle, state, *place, mesh="mesh" not in page.lacks)
        notes = [f'<div class="quiet">{markup.text(note)}</div>' for note in snippets.unsaid(state)]
        script = snippets.python_lines(bundle, state, *place)
        self._lines.content = markup.box(
            "The same from the command line:",
            f"<pre>{markup.escape(chr(10).join(commands))}</pre>",
            *notes,
            "and from Python:",
            f"<pre>{markup.escape(chr(10).join(script))}</pre>",
            markup.button("lines ", "take the view's angles"),
        )

    def close(self) -> None:
        """Ends what is under way."""
        self._stop.set()

    def _refreshed(self, _: str) -> None:
        self.refresh()

    def _show(self, doing: str = "") -> None:
        lacks = self.page.lacks
        buttons = "".join(
            markup.button(
                f"save {what}",
                what,
                disabled=bool(doing) or what in lacks,
                title=lacks.get(what, ""),
            )
            for what in ("picture", "video", "codes", "mesh")
        )
        reasons = "".join(
            f'<div class="quiet">{markup.text(lacks[what])}</div>'
            for what in ("video", "mesh")
            if what in lacks
        )
        under_way = f"{markup.text(doing)} … {markup.button('halt', 'stop')}" if doing else ""
        self._buttons.content = markup.box(f'<div class="row">{buttons}</div>', reasons, under_way)

    def _saved(self, what: str) -> None:
        """One of the four; another is refused until it is done."""
        page = self.page
        if what not in ("picture", "video", "codes", "mesh") or what in page.lacks:
            return
        if not self._busy.acquire(blocking=False):
            page.say("one at a time; the last is not saved yet", warn=True)
            return
        try:
            self._stop.clear()
            self._show(f"making the {what}")
            self._progress.visible = what in ("video", "mesh")
            name, make = self._makers()[what]
            with told(self._step):
                content = make()
            page.client.send_file_download(name, content, save_immediately=True)
            page.say(f"saved {name}, {len(content) / 1024:.0f} KB")
        finally:
            self._progress.visible = False
            self._show()
            self._busy.release()

    def _step(self, done: int, total: int) -> None:
        self._progress.value = 100 * done / max(total, 1)
        if self._stop.is_set():
            raise Stopped("stopped; nothing was saved")

    def _makers(self) -> dict[str, tuple[str, Callable[[], bytes]]]:
        page = self.page
        session, editor = page.session, page.editor
        whole = replace(session.state, edits=tuple(e for e in session.state.edits if not e.part))
        eye = Eye(editor.generator, page.viewer.pace)
        stem = f"{editor.generator.hash[:4]}-{session.state.source.name.replace(' ', '-')}"
        return {
            "picture": (f"{stem}.png", lambda: saving.picture(eye, page.scene(tinted=False))),
            "video": (
                f"{stem}.mp4",
                lambda: saving.video(editor, session.edited(), page.angles_deg[1]),
            ),
            "codes": (
                snippets.CODES,
                lambda: saving.codes_file(
                    editor, session.edited(whole), page.view, session.state.source.name
                ),
            ),
            "mesh": (f"{stem}.glb", lambda: saving.mesh(editor, session.edited())),
        }
