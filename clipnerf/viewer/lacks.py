"""What a bundle cannot do, and why, in plain words: those controls are gray."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipnerf.editor.mesh import mesh_absence
from clipnerf.io.video import video_problem

if TYPE_CHECKING:
    from clipnerf.editor import Editor


def lacks(editor: Editor) -> dict[str, str]:
    """Control -> reason; of prompt, exemplar, shape, appearance, parts, photo, mesh, video."""
    found: dict[str, str] = {}
    entangled = editor.generator.field.entangled
    if editor.clip is None:
        found["prompt"] = "this bundle has no CLIP model, so words and exemplars cannot be read"
    elif not editor.mappers:
        found["prompt"] = "this bundle has no mapper: clipnerf train-mapper makes one"
    for which in ("shape", "appearance"):
        if which not in editor.mappers:
            found[which] = found.get("prompt", f"this bundle has no mapper for {which}")
    if "prompt" in found:
        found["exemplar"] = found["prompt"]
    if entangled:
        reason = "this generator is entangled: shape and color are one"
        found["parts"] = found["photo"] = reason
    elif editor.parts.grounding is None:
        found["parts"] = "this bundle has no region field: clipnerf train-region makes one"
    elif "prompt" in found:
        found["parts"] = found["prompt"]
    absent = {"mesh": mesh_absence(), "video": video_problem()}
    return found | {what: reason for what, reason in absent.items() if reason}
