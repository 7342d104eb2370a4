"""The way of an edit: few rooms from the command line to the pixels, and no stage calls back."""

import sys
from pathlib import Path

import pytest
from torchvision.utils import save_image

import clipnerf
from clipnerf.commands.edit import edit
from clipnerf.config.editing import EditConfig
from clipnerf.editor import Editor
from tests.editor.test_local_edit import editor, plain_editor  # noqa: F401

PACKAGE = Path(clipnerf.__file__).parent
MOST_ROOMS = 12
STAGES = {
    "editor/conditions.py": 0,
    "editor/exemplar.py": 0,
    "editor/mapping.py": 1,
    "editor/local_edit.py": 2,
    "editor/recolor.py": 2,
}
"""Encode the condition, move the codes, add a local edit."""

WAYS = {
    "words": {"text": "a red chair"},
    "prompts": {"prompts": {"a red chair": 1.0, "a wide chair": 0.5}},
    "picture": {"image": "photo.png"},
    "part": {"text": "red", "region": "the seat"},
    "picture in a box": {"image": "photo.png", "region_box": [-1.0, -1.0, 0.1, 1.0, 1.0, 1.0]},
    "parts": {"edit": ["the seat: red", "the back: a blue chair"]},
}


class Trace:
    """Where a call goes: its stacks, and the stages in the order in which they are entered."""

    def __init__(self, call) -> None:
        self.stacks: set[tuple] = set()
        self.edits: list[list[int]] = []
        before = sys.getprofile()
        sys.setprofile(self._enter)
        try:
            call()
        finally:
            sys.setprofile(before)

    def _enter(self, frame, event, _) -> None:
        if event != "call" or not _is_room(frame.f_code):
            return
        file, name, _ = _room(frame.f_code)
        if (file, name) == ("editor/editor.py", "edit"):
            self.edits.append([])
        if self.edits and file in STAGES:
            self.edits[-1].append(STAGES[file])
        stack = []
        while frame:
            if _is_room(frame.f_code):
                stack.append(_room(frame.f_code))
            frame = frame.f_back
        self.stacks.add(tuple(reversed(stack)))


def _is_room(code) -> bool:
    return code.co_filename.startswith(str(PACKAGE)) and not code.co_name.startswith("<")


def _room(code) -> tuple[str, str, int]:
    """A function; the field and the camera's rays, which every picture needs, are one room, and
    so are the reader of pictures and the check of texts, which lie beside the way."""
    file = Path(code.co_filename).relative_to(PACKAGE).as_posix()
    beside = {("fields", "rendering"): "the field", ("data",): "a picture", ("config",): "a check"}
    for folders, name in beside.items():
        if file.startswith(tuple(f"{folder}/" for folder in folders)):
            return (name, "", 0)
    return (file, code.co_name, code.co_firstlineno)


@pytest.fixture(scope="module", params=WAYS)
def trace(request, editor, tmp_path_factory):  # noqa: F811
    folder, options = tmp_path_factory.mktemp("way"), dict(WAYS[request.param])
    if "image" in options:
        options["image"] = str(folder / options["image"])
        save_image(editor.render(editor.sample([9]), size=16).rgb, options["image"])
    config = EditConfig(**options, out=str(folder / "e.png"), seeds=[0, 1], size=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Editor, "load", lambda *a, **k: editor)
        return Trace(lambda: edit(config))


def test_an_edit_passes_few_rooms(trace):
    deepest = max(trace.stacks, key=lambda stack: len(set(stack)))
    assert len(set(deepest)) <= MOST_ROOMS, "\n".join(map(str, deepest))


def test_no_stage_calls_an_earlier_one(trace):
    assert any(trace.edits)
    for stack in trace.stacks:
        stages = [STAGES[file] for file, *_ in stack if file in STAGES]
        assert stages == sorted(stages), stack
    for stages in trace.edits:
        assert stages == sorted(stages)
