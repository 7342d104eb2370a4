"""The layers of the package, read from its source: imports run downwards only."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clipnerf"

# From the top to the bottom. A module may import what is below it, and its own room: the package
# that is named here. Rooms on one floor know nothing of each other.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("evaluation", "viewer"),
    ("editor",),
    ("mappers", "inversion", "segmentation"),
    ("gan",),
    ("clip",),
    ("vision",),
    ("data",),
    ("training",),
    ("io",),
    ("fields",),
    ("rendering", "config"),
    ("version", "errors", ""),
)

# Inside of rooms that have rooms of their own, likewise.
EVALUATION = (
    ("inversion", "segmentation"),
    ("report",),
    ("edits", "views"),
    ("generation",),
    ("metrics", "views_of_objects", "resources"),
)

# Outside library → the only places that may import it.
HOMES = {
    "open_clip": ("clip.model", "clip.loss"),
    "trimesh": ("data.procedural.render",),
    "embreex": ("data.procedural.render",),
    "skimage": ("editor.mesh",),
    "imageio": ("io.video",),
    "imageio_ffmpeg": ("io.video",),
    "safetensors": ("io.weights",),
    "tensorboard": ("training.run_folder",),
    "torch.utils.tensorboard": ("training.run_folder",),
    "jsonargparse": ("config.parse",),
    "docstring_parser": ("config.parse",),
    "tqdm": ("training.progress",),
    "PIL": ("data", "io.html", "io.mesh", "io.sheet", "rendering.shown", "training.run_folder"),
    "jinja2": ("io.html",),
    "matplotlib": ("evaluation.views.plot",),
    "pycocotools": ("data.coco_masks",),
    "tinycudann": ("fields.backends.tcnn",),
    "triton": ("fields.backends",),
    "viser": ("viewer.server",),
    "xatlas": ("editor.texture",),
    "websockets": ("viewer.origin",),
    "timm": ("vision.feature_network",),
    "lpips": ("vision.pretrained",),
    "torch_fidelity": ("vision.pretrained",),
}


def _name(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def _is_in(module: str, place: str) -> bool:
    return module == place or (place != "" and module.startswith(f"{place}."))


def _room(module: str, floors: tuple[tuple[str, ...], ...]) -> tuple[str, int]:
    """The room that the module is in, and its floor, counted from the top."""
    for level, rooms in enumerate(floors):
        for room in rooms:
            if module == room or (room and module.startswith(f"{room}.")):
                return room, level
    raise AssertionError(f"clipnerf.{module} has no place among {floors}")


def _check_downwards(module: str, imported: str, floors: tuple[tuple[str, ...], ...]) -> None:
    (room, level), (other, below) = _room(module, floors), _room(imported, floors)
    same = level == below == len(floors) - 1  # on the ground floor all know each other
    assert room == other or below > level or same, f"{module} imports {imported}"


def _typing_only(tree: ast.Module) -> set[ast.AST]:
    """Imports under ``if TYPE_CHECKING``, which never run."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for inner in node.body:
                skipped.update(ast.walk(inner))
    return skipped


@functools.cache
def _imports(file: Path) -> list[str]:
    """Full names of everything a file imports, also inside functions."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = _typing_only(tree)
    found: list[str] = []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: relative import; write the full name"
            found.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _inside(imported: str) -> str | None:
    """The module of this package that an imported name is in; None for another package's."""
    if imported.partition(".")[0] != "clipnerf":
        return None
    name = imported.partition(".")[2]
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module):
    for imported in _imports(MODULES[module]):
        inside = _inside(imported)
        if inside is not None:
            _check_downwards(module, inside, LAYERS)


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("evaluation.")])
def test_imports_run_downwards_inside_of_evaluation(module):
    for imported in _imports(MODULES[module]):
        inside = _inside(imported)
        if inside is not None and inside.startswith("evaluation."):
            here, there = (name.removeprefix("evaluation.") for name in (module, inside))
            _check_downwards(here, there, EVALUATION)


def test_no_modules_import_each_other():
    """Also inside of a room: modules can be sorted so that each imports earlier ones alone."""
    imports = {
        module: {_inside(name) for name in _imports(file)} - {None, module, ""}
        for module, file in MODULES.items()
    }
    while imports:
        ready = {module for module, needs in imports.items() if not needs & set(imports)}
        assert ready, f"these import each other in a circle: {sorted(imports)}"
        imports = {module: needs for module, needs in imports.items() if module not in ready}


def test_the_top_of_the_package_holds_packages_and_six_files():
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "version.py", "errors.py", "cli.py", "py.typed"}


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.split(".")[0] in ("fields", "rendering")]
)
def test_the_core_knows_nothing_of_the_rest(module):
    for imported in _imports(MODULES[module]):
        inside = _inside(imported)
        if inside is not None:
            assert inside.split(".")[0] in ("fields", "rendering", "errors"), imported


def test_mappers_know_neither_clip_nor_the_generator():
    for module in [m for m in MODULES if m in ("mappers.paper", "mappers.universal")]:
        for imported in _imports(MODULES[module]):
            assert (_inside(imported) or "").split(".")[0] not in ("clip", "gan"), imported


def test_only_the_command_line_trains_a_generator():
    for module, file in MODULES.items():
        if module.partition(".")[0] not in ("cli", "commands"):
            assert all(_inside(name) != "gan.train" for name in _imports(file)), module


@pytest.mark.parametrize("library", HOMES)
def test_an_outside_library_has_one_home(library):
    for module, file in MODULES.items():
        uses = [name for name in _imports(file) if _is_in(name, library)]
        if uses:
            assert any(_is_in(module, home) for home in HOMES[library]), f"{module}: {uses[0]}"


def test_no_file_is_a_drawer_or_too_long():
    for module, file in MODULES.items():
        assert module.rpartition(".")[2] not in ("utils", "helpers", "common", "misc"), module
        lines = file.read_text(encoding="utf-8").count("\n")
        assert lines <= 350, f"clipnerf.{module} has {lines} lines"


def test_no_function_is_too_long():
    kernels = {("fields.backends.triton_second", "_double_backward")}  # one kernel is one function
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (module, node.name) not in kernels:
                lines = (node.end_lineno or 0) - node.lineno + 1
                said = ast.get_docstring(node, clean=False)
                lines -= said.count("\n") + 1 if said else 0
                assert lines <= 60, f"clipnerf.{module}: {node.name} has {lines} lines"


def test_warnings_go_through_one_door():
    for module, file in MODULES.items():
        assert module == "errors" or "warnings.warn(" not in file.read_text(encoding="utf-8"), (
            module
        )


def _loaded_by(code: str) -> set[str]:
    code += "\nimport sys; print(*sys.modules)"
    run = [sys.executable, "-c", code]
    return set(
        subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize(
    "code",
    [
        "import clipnerf",
        "import clipnerf.cli",
        "from clipnerf.config.verbs import VERBS\nfor verb in VERBS: verb.schema",
    ],
)
def test_import_and_help_are_quick(code):
    loaded = _loaded_by(code)
    slow = {"torch", "torchvision", "open_clip", "scipy", "trimesh", "imageio", "tensorboard"}
    slow |= {"matplotlib", "jinja2", "pycocotools"}
    assert not loaded & slow
    assert "clipnerf" in loaded


def test_editor_and_codes_are_there_when_asked_for():
    assert "torch" in _loaded_by("from clipnerf import Codes; assert Codes.__name__ == 'Codes'")
    import clipnerf

    assert {"Editor", "Codes", "Camera"} <= set(dir(clipnerf))
    with pytest.raises(AttributeError, match="Editr"):
        clipnerf.Editr  # noqa: B018
