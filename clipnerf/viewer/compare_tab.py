"""The tab where one compares: before and after, and a sweep of strengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from clipnerf.io.sheet import to_uint8
from clipnerf.viewer import markup
from clipnerf.viewer.drawing import Compare
from clipnerf.viewer.state import Edit, State

if TYPE_CHECKING:
    from clipnerf.viewer.page import Page

SWEEP = (-2.0, -1.0, 0.0, 1.0, 2.0)
TILE = 96


class CompareTab:
    """See the head of this file."""

    def __init__(self, page: Page) -> None:
        self.page = page
        gui: Any = page.client.gui
        self._how = gui.add_dropdown("Show", get_args(Compare), initial_value="after")
        self._how.on_update(self._compared)
        self._at = gui.add_slider("Slider", 0.0, 1.0, 0.01, 0.5, visible=False)
        self._at.on_update(self._slid)
        self._sweep = gui.add_html("")
        self._swept: object = None
        page.acts.update(sweep=self._swept_by, strength=self._took)

    def refresh(self) -> None:
        """Shows the state."""
        self._at.visible = self.page.compare == "slider"
        state = self.page.session.state
        if state.edit is None:
            self._sweep.content = markup.box(
                '<div class="quiet">Strength sweep: once there is an edit.</div>'
            )
        elif self._swept != (state.edit.key, state.source):
            self._show_sweep(state.edit, "")

    def _show_sweep(self, edit: Edit, below: str) -> None:
        buttons = " ".join(
            markup.button(f"sweep {which}", which, disabled=which in self.page.lacks)
            for which in ("both", "shape", "appearance")
        )
        title = f"<div>Strength sweep of {markup.text(edit.name)}:</div>"
        self._sweep.content = markup.box(title, f'<div class="row">{buttons}</div>', below)

    def _compared(self, event: Any) -> None:
        if event.client is not None:
            self.page.compare = self._how.value
            self.page.changed()

    def _slid(self, event: Any) -> None:
        if event.client is not None:
            self.page.at = float(self._at.value)
            self.page.ask()

    def _swept_by(self, which: str) -> None:
        """Pictures of the chosen edit in five strengths."""
        page, state = self.page, self.page.session.state
        if state.edit is None:
            return
        self._swept = (state.edit.key, state.source)
        self._show_sweep(state.edit, f'<div class="quiet">{which}: five pictures …</div>')
        camera = page.view.camera(TILE, 1.0)
        cells = []
        for strength in SWEEP:
            codes = page.session.edited(_dialed(state, which, strength))
            view = page.editor.render(codes, camera=camera)
            cells.append(
                (f"strength {which} {strength:g}", to_uint8(view.rgb)[0], f"{strength:g}", False)
            )
        self._show_sweep(state.edit, f"{which}:{markup.thumbs(cells, len(SWEEP))}")

    def _took(self, said: str) -> None:
        """One of the strengths was clicked."""
        which, strength = said.split(" ")
        session = self.page.session
        session.become(_dialed(session.state, which, float(strength)))
        self.page.changed()


def _dialed(state: State, which: str, strength: float) -> State:
    """The chosen edit with another strength of shape, appearance, or both."""
    for dial in ("shape", "appearance") if which == "both" else (which,):
        state = state.dialed(dial, strength)
    return state
