"""The verb export: objects of a bundle as meshes."""

from __future__ import annotations

from pathlib import Path

from clipnerf.commands.demo import file_name
from clipnerf.commands.edit import edit_objects, load_objects
from clipnerf.config.export import ExportConfig
from clipnerf.editor import Editor
from clipnerf.editor.exemplar import read_exemplar
from clipnerf.editor.mesh import mesh_absence
from clipnerf.errors import UsageError
from clipnerf.io.atomic import writable_file


def export(config: ExportConfig) -> list[Path]:
    """One file an object, edited if there are words or a picture.

    Returns:
        The files: ``config.out``, or for several objects that name with each object's.
    """
    config.validate()
    if missing := mesh_absence(bool(config.texture)):
        raise UsageError(missing)
    out = writable_file(Path(config.out))
    if config.image:
        read_exemplar(config.image, config.size)
    editor = Editor.load(config.bundle, config.device, config.mapper)
    codes, names = load_objects(editor, config)
    codes = edit_objects(editor, codes, config)
    paths = [writable_file(path) for path in _paths(out, names)]
    for row, path in enumerate(paths):
        (mesh,) = editor.mesh(codes[row], config.resolution, config.crumbs, config.texture)
        mesh.save(path, config.scale, names[row])
    return paths


def _paths(out: Path, names: list[str]) -> list[Path]:
    """A file for each object; those of one name are counted."""
    if len(names) == 1:
        return [out]
    own = [file_name(name) for name in names]
    if len(set(own)) < len(own):
        own = [f"{row}-{name}" for row, name in enumerate(own)]
    return [out.with_name(f"{out.stem}-{name}{out.suffix}") for name in own]
