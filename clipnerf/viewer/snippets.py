"""Snippets: the lines that make again, without a browser, what a visitor sees."""

from __future__ import annotations

import shlex

from clipnerf.viewer.state import BLEND_STEPS, Edit, Source, State

CODES = "codes.safetensors"


def python_lines(bundle: str, state: State, azimuth_deg: float, elevation_deg: float) -> list[str]:
    """A script that ends with a picture and a video."""
    lines = ["from clipnerf import Editor", "", f"editor = Editor.load({bundle!r})"]
    lines.append(f"codes = {_source(state.source)}")
    if state.blended and state.other is not None:
        lines.append(
            f"codes = editor.interpolate(codes, {_source(state.other)}, {BLEND_STEPS + 1})"
            f"[{state.steps}]"
        )
    lines += [f"codes = editor.edit(codes, {_arguments(edit)})" for edit in state.active]
    return [
        *lines,
        f"view = editor.render(codes, {azimuth_deg:.1f}, {elevation_deg:.1f}, size=256)",
        'editor.orbit(codes, "orbit.mp4")',
    ]


def command_lines(
    bundle: str, state: State, azimuth_deg: float, elevation_deg: float, mesh: bool = False
) -> list[str]:
    """Commands; where one alone cannot say it, they start from the codes that the page saves."""
    whole = [edit for edit in state.active if not edit.part]
    parts = [edit for edit in state.active if edit.part]
    named, lines = [f"--seeds {state.source.seed}"], []
    plain = not state.blended and len(whole) <= 1
    if plain and state.source.photo:
        photo = shlex.quote(state.source.photo)
        lines.append(f"clipnerf invert {shlex.quote(bundle)} {photo} --out out/found")
        named = [f"--codes out/found/{CODES}"]
    elif not plain:
        named, whole = [f"--codes {CODES}"], []
    edits = [_options(edit) for edit in whole]
    alone = not whole and len(parts) == 1 and _dialed(parts[0])
    if alone:
        edits.append(f"--region {shlex.quote(parts[0].part)} {_options(parts[0])}")
    else:
        edits += [f"--edit {shlex.quote(f'{e.part}: {e.text}')}" for e in parts if e.text]
    said = " ".join([shlex.quote(bundle), *named, *edits])
    place = f"--azimuth_deg {azimuth_deg:.1f} --elevation_deg {elevation_deg:.1f}"
    if edits:
        lines.append(f"clipnerf edit {said} {place} --size 256 --out out/edit.png")
    lines.append(f"clipnerf orbit {said} --out out/orbit.mp4")
    if mesh:
        lines.append(f"clipnerf export {said} --out out/object.glb")
    return lines


def unsaid(state: State) -> list[str]:
    """What the commands leave out or need, in plain words."""
    notes = []
    if state.blended or len([edit for edit in state.active if not edit.part]) > 1:
        notes.append(f"the commands start from {CODES}, which Save > codes gives")
    parts = [edit for edit in state.active if edit.part]
    whole = len(parts) < len(state.active)
    if any(map(_dialed, parts)) and (len(parts) > 1 or whole):
        notes.append("strengths of single parts can be given from Python alone")
    return notes


def _dialed(edit: Edit) -> bool:
    return edit.shape is not None or edit.appearance is not None or not edit.text


def _source(source: Source) -> str:
    if source.photo:
        return f"editor.invert({source.photo!r}).codes"
    return f"editor.sample([{source.seed}])"


def _strengths(edit: Edit) -> list[tuple[str, float]]:
    given = (("shape", edit.shape), ("appearance", edit.appearance))
    return [(which, strength) for which, strength in given if strength is not None]


def _arguments(edit: Edit) -> str:
    said = [repr(edit.text) if edit.text else f"image={edit.image_name!r}"]
    said += [f"{which}={strength:g}" for which, strength in _strengths(edit)]
    return ", ".join([*said, *([f"region={edit.part!r}"] if edit.part else [])])


def _options(edit: Edit) -> str:
    what = ("--text", edit.text) if edit.text else ("--image", edit.image_name)
    given = [f"--{which} {strength:g}" for which, strength in _strengths(edit)]
    return " ".join([what[0], shlex.quote(what[1]), *given])
