"""Session: one visitor's states, undo and redo, and the codes that each state stands for.

No browser is needed: the page asks a session for codes, and tells it what the visitor did.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from clipnerf.editor.conditions import bare_prompt
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.gan.codes import Codes
from clipnerf.viewer.hearing import Heard, heard
from clipnerf.viewer.state import BLEND_STEPS, Edit, Source, State

if TYPE_CHECKING:
    from clipnerf.editor import Editor

LONGEST_HISTORY = 200
KEPT_CODES = 24
"""Codes of so many beginnings of lists of edits are kept: a dial computes its own edit alone."""


class Session:
    """What one visitor did.

    Args:
        editor: shared by all visitors; nothing of it is changed.
        heard: what was warned of each prompt, shared as well.
    """

    def __init__(self, editor: Editor, said: Heard | None = None) -> None:
        self.editor = editor
        self.said = Heard() if said is None else said
        self.failed: dict[tuple[str, str, str], str] = {}
        self._lock = threading.RLock()
        self._past: list[State] = []
        self._future: list[State] = []
        self._state, self._key = State(), ""
        self._codes: OrderedDict[object, Codes] = OrderedDict()

    @property
    def state(self) -> State:
        """As it is now."""
        return self._state

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether something was taken back."""
        return bool(self._future)

    def become(self, state: State, key: str = "") -> None:
        """The next state.

        Args:
            key: of a movement that goes on, such as a dial's: its states are one step of undo.
        """
        with self._lock:
            if state == self._state:
                return
            if not (key and key == self._key):
                self._past = [*self._past, self._state][-LONGEST_HISTORY:]
            self._state, self._key, self._future = state, key, []

    def undo(self) -> None:
        """Back to the state before; nothing where there is none."""
        with self._lock:
            if self._past:
                self._future.append(self._state)
                self._state, self._key = self._past.pop(), ""

    def redo(self) -> None:
        """Forward again."""
        with self._lock:
            if self._future:
                self._past.append(self._state)
                self._state, self._key = self._future.pop(), ""

    def prompt(self, text: str, part: str = "") -> None:
        """Adds an edit by words.

        Raises:
            UsageError: no words.
        """
        if not text.strip():
            raise UsageError("the prompt is empty; say what it is to become, e.g. 'a red chair'")
        self.become(self.state.added(Edit(" ".join(text.split()), part)))

    def exemplar(self, path: str, name: str) -> None:
        """Adds an edit towards a picture."""
        self.become(self.state.added(Edit(image=path, image_name=name)))

    def take(self, source: Source) -> None:
        """Another object under the same edits."""
        self.become(replace(self.state, source=source, other=None, steps=0))

    def strengths(self, edit: Edit) -> dict[str, float]:
        """Where the dials stand for an edit: as given, else as the words are routed."""
        shares = {"shape": 1.0, "appearance": 1.0}
        if edit.text:
            # whoever embeds the words first is the one who is warned of them
            with self._lock, heard() as warned:
                with contextlib.suppress(ClipNerfError):
                    shares = self.editor.route(
                        bare_prompt(edit.text, self.editor.parts.noun) or edit.text
                    )
                self.said.keep(edit.key, warned)
            if edit.part and bare_prompt(edit.text, self.editor.parts.noun) is not None:
                shares = {**shares, "shape": 0.0}
        given = {"shape": edit.shape, "appearance": edit.appearance}
        return {which: shares[which] if v is None else v for which, v in given.items()}

    def unedited(self, state: State | None = None) -> Codes:
        """The object before its edits."""
        state = self.state if state is None else state
        with self._lock:
            found = self._of(state.source)
            if not state.blended or state.other is None:
                return found
            key = ("blend", state.source, state.other, state.steps)
            if key not in self._codes:
                way = self.editor.interpolate(found, self._of(state.other), BLEND_STEPS + 1)
                self._keep(key, way[state.steps])
            return self._codes[key]

    def edited(self, state: State | None = None) -> Codes:
        """The object after its edits; one that fails is left out, and :attr:`failed` says why."""
        state = self.state if state is None else state
        with self._lock:
            codes = self.unedited(state)
            start = (state.source, state.other if state.blended else None, state.steps)
            for count, edit in enumerate(state.active, start=1):
                key = (*start, state.active[:count])
                if key not in self._codes:
                    self._keep(key, self._applied(codes, edit))
                self._codes.move_to_end(key)
                codes = self._codes[key]
            return codes

    def close(self) -> None:
        """Lets go of all codes."""
        with self._lock:
            self._codes.clear()
            self._past, self._future = [], []

    def _of(self, source: Source) -> Codes:
        if source.found is not None:
            return source.found
        if source not in self._codes:
            self._keep(source, self.editor.sample([source.seed]))
        return self._codes[source]

    def _applied(self, codes: Codes, edit: Edit) -> Codes:
        self.failed.pop(edit.key, None)
        try:
            with heard() as warned:
                after = self.editor.edit(
                    codes,
                    edit.text or None,
                    edit.shape,
                    edit.appearance,
                    image=edit.image or None,
                    region=edit.part or None,
                )
        except ClipNerfError as error:
            self.failed[edit.key] = " ".join(str(error).split())
            return codes
        self.said.keep(edit.key, warned)
        return after

    def _keep(self, key: object, codes: Codes) -> None:
        self._codes[key] = codes
        while len(self._codes) > KEPT_CODES:
            self._codes.popitem(last=False)
