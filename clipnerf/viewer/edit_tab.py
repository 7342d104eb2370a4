"""The tab where one edits: prompt, dials, parts, and the list of edits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from clipnerf.viewer import markup
from clipnerf.viewer.state import Edit

if TYPE_CHECKING:
    from clipnerf.viewer.page import Page

DIALS = ("shape", "appearance")
STRONGEST = 2.0


class EditTab:
    """See the head of this file."""

    def __init__(self, page: Page) -> None:
        self.page, self.found = page, list[str]()
        gui: Any = page.client.gui
        gray = "prompt" in page.lacks
        with gui.add_form(None) as form:
            self._prompt = gui.add_text("Prompt", "", disabled=gray, hint="Enter applies it")
        form.on_submit(lambda _: self._prompted())
        self._reason = gui.add_html("")
        self._dials = {
            which: gui.add_slider(
                which.capitalize(),
                -STRONGEST,
                STRONGEST,
                0.05,
                0.0,
                disabled=which in page.lacks,
                hint=page.lacks.get(which, "strength of the chosen edit: 0 none, 1 as trained"),
            )
            for which in DIALS
        }
        for which, dial in self._dials.items():
            dial.on_update(partial(self._dialed, which))
        self._said = gui.add_html("")
        self._list = gui.add_html("")
        self._part = gui.add_html("")
        with gui.add_form(None) as becomes:
            self._becomes = gui.add_text(
                "Becomes", "", disabled="parts" in page.lacks, visible=False
            )
        becomes.on_submit(lambda _: self._colored(self._becomes.value))
        page.acts.update(
            undo=lambda _: self._moved(page.session.undo),
            redo=lambda _: self._moved(page.session.redo),
            toggle=self._toggled,
            choose=self._chose,
            remove=self._removed,
            part=self._lit,
            color=self._colored,
        )

    def refresh(self, *, dials: bool = True) -> None:
        """Shows the state."""
        page, state = self.page, self.page.session.state
        reason = page.lacks.get("prompt", "")
        self._reason.content = (
            markup.box(f'<div class="warn">{markup.text(reason)}</div>') if reason else ""
        )
        if dials:
            place = page.session.strengths(state.edit) if state.edit else dict.fromkeys(DIALS, 0.0)
            for which, dial in self._dials.items():
                dial.value = min(max(place[which], -STRONGEST), STRONGEST)
                dial.disabled = which in page.lacks or state.edit is None
        self._list.content = markup.box(self._history(), *map(self._row, range(len(state.edits))))
        self._part.content = markup.box(self._parts())
        self._becomes.visible = bool(page.lit)

    def tell(self) -> None:
        """What is to be said of the chosen edit: its routing, its warnings, why it failed."""
        state, session = self.page.session.state, self.page.session
        if state.edit is None:
            self._said.content = ""
            return
        lines = [(line, "warn") for line in session.said.of(state.edit.key)]
        failed = session.failed.get(state.edit.key)
        if failed is not None:
            lines.insert(0, (f"left out: {failed}", "warn"))
        elif not lines:
            lines = [
                (
                    routed(
                        state.edit,
                        session.strengths(replace(state.edit, shape=None, appearance=None)),
                    ),
                    "quiet",
                )
            ]
        self._said.content = markup.box(
            *(f'<div class="{kind}">{markup.escape(line[:400])}</div>' for line, kind in lines)
        )

    def _history(self) -> str:
        session = self.page.session
        return (
            '<div class="row">'
            + "".join(
                markup.button(act, f"{sign} {act}", disabled=not can)
                for act, sign, can in (
                    ("undo", "↶", session.can_undo),
                    ("redo", "↷", session.can_redo),
                )
            )
            + "</div>"
        )

    def _row(self, index: int) -> str:
        state = self.page.session.state
        edit = state.edits[index]
        switch = markup.button(
            f"toggle {index}", "on" if edit.on else "off", title="count this edit, or not"
        )
        name = markup.button(
            f"choose {index}",
            markup.text(edit.name),
            kind="name",
            chosen=index == state.chosen,
            title="the dials move this edit",
        )
        away = markup.button(f"remove {index}", "×", title="remove")
        return f'<div class="row{"" if edit.on else " off"}">{switch}{name}{away}</div>'

    def _parts(self) -> str:
        page = self.page
        if "parts" in page.lacks:
            return f'<div class="quiet">Parts: {markup.text(page.lacks["parts"])}</div>'
        if not page.lit:
            return '<div class="quiet">Click on a part of the object to color it alone.</div>'
        chips = "".join(
            markup.button(f"part {phrase}", markup.text(phrase), chosen=phrase == page.lit)
            for phrase in self.found or [page.lit]
        )
        none = markup.button("part ", "none", title="nothing is lit")
        return f'<div class="row">{chips}{none}</div>{markup.swatches()}'

    def _prompted(self) -> None:
        page = self.page
        with page.trying():
            page.session.prompt(self._prompt.value)
            page.say()
            page.changed()

    def _dialed(self, which: str, event: Any) -> None:
        if event.client is None:
            return
        session, value = self.page.session, float(self._dials[which].value)
        session.become(session.state.dialed(which, value), f"{which} {session.state.chosen}")
        self.page.changed(dials=False)

    def _moved(self, step: Any) -> None:
        step()
        self.page.changed()

    def _toggled(self, index: str) -> None:
        session = self.page.session
        edit = session.state.edits[int(index)]
        session.become(session.state.switched(int(index), not edit.on))
        self.page.changed()

    def _chose(self, index: str) -> None:
        session = self.page.session
        session.become(replace(session.state, chosen=int(index)), "choose")
        self.page.changed()

    def _removed(self, index: str) -> None:
        self.page.session.become(self.page.session.state.removed(int(index)))
        self.page.changed()

    def _lit(self, phrase: str) -> None:
        self.page.lit = phrase
        self.page.changed()

    def _colored(self, color: str) -> None:
        page = self.page
        if not page.lit:
            return
        with page.trying():
            page.session.prompt(color, page.lit)
            page.lit = ""
            page.say()
            page.changed()


def routed(edit: Edit, shares: dict[str, float]) -> str:
    """What routing decided, in plain words."""
    shape, appearance = shares["shape"], shares["appearance"]
    who = f"“{edit.name}”"
    if not edit.text:
        return "An exemplar leads shape and appearance alike."
    if edit.part:
        return f"{who}: only this part changes."
    if shape == 0 and appearance == 0:
        return f"{who} changes nothing by itself; move a dial."
    if shape == 0:
        return f"{who} speaks of appearance: the shape stays as it is, to the last bit."
    if appearance == 0:
        return f"{who} speaks of shape: the colors stay as they are."
    return f"{who} speaks of both: shape {shape:.2f}, appearance {appearance:.2f}."
