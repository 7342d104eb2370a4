"""The layers of the package, read from its source: imports run downwards only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clipnerf"

# From the top to the bottom; a module may import what is on its own level or below.
LAYERS = (
    ("__main__",),
    ("cli", "doctor", "bench", "demo", "invert", "segment", "evaluate", "evaluate_inversion",
     "evaluate_segmentation",
     "evaluation.__main__"),
    ("editor", "bundle", "aim", "changes", "local", "paint", "exemplar", "morph", "turning"),
    ("gan.pretrain", "editing", "inversion", "segmentation", "clip.train", "evaluation"),
    ("gan", "clip", "data", "export", "runs", "vision"),
    ("rendering", "fields", "convolutions"),
    ("config",),
    ("errors", ""),
)

# Outside library → the only places that may import it.
HOMES = {
    "open_clip": ("clip.model",),
    "trimesh": ("data.shapes.render",),
    "embreex": ("data.shapes.render",),
    "imageio": ("export.video",),
    "imageio_ffmpeg": ("export.video",),
    "safetensors": ("runs.weights",),
    "tensorboard": ("runs.folder",),
    "torch.utils.tensorboard": ("runs.folder",),
    "jsonargparse": ("config.parse",),
    "docstring_parser": ("config.parse",),
    "tqdm": ("runs.progress",),
    "PIL": ("data", "export.page", "export.sheet", "export.view_plot", "runs.folder"),
    "tinycudann": ("fields.backends.tcnn",),
    "triton": ("fields.backends.triton", "fields.backends.triton_kernels"),
    "timm": ("vision.feature_network",),
    "lpips": ("evaluation.published",),
    "torch_fidelity": ("evaluation.published",),
}


def _name(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def _is_in(module: str, place: str) -> bool:
    return module == place or (place != "" and module.startswith(f"{place}."))


def _layer(module: str) -> int:
    """The level of the longest name in LAYERS that the module is in."""
    found = [
        (len(place), level)
        for level, places in enumerate(LAYERS)
        for place in places
        if _is_in(module, place)
    ]
    assert found, f"clipnerf.{module} has no place in LAYERS"
    return max(found)[1]


def _typing_only(tree: ast.Module) -> set[ast.AST]:
    """Imports under ``if TYPE_CHECKING``, which never run."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for inner in node.body:
                skipped.update(ast.walk(inner))
    return skipped


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
            assert _layer(inside) >= _layer(module), f"clipnerf.{module} imports {imported}"


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.split(".")[0] in ("fields", "rendering")]
)
def test_the_core_knows_nothing_of_the_rest(module):
    for imported in _imports(MODULES[module]):
        inside = _inside(imported)
        if inside is not None:
            assert inside.split(".")[0] in ("fields", "rendering", "errors"), imported


def test_mappers_know_neither_clip_nor_the_generator():
    for module in [m for m in MODULES if _is_in(m, "editing.mappers")]:
        for imported in _imports(MODULES[module]):
            assert (_inside(imported) or "").split(".")[0] not in ("clip", "gan"), imported


def test_gan_and_editing_do_not_train_each_other():
    for module, file in MODULES.items():
        if module.split(".")[0] == "gan":
            assert all((_inside(name) or "").split(".")[0] != "editing" for name in _imports(file))
        if module.split(".")[0] == "editing":
            assert all(_inside(name) != "gan.pretrain" for name in _imports(file))


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
        assert lines <= 400, f"clipnerf.{module} has {lines} lines"


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
        "from clipnerf.config.parse import VERBS, _load\nfor verb in VERBS: _load(verb.config)",
    ],
)
def test_import_and_help_are_quick(code):
    loaded = _loaded_by(code)
    slow = {"torch", "torchvision", "open_clip", "scipy", "trimesh", "imageio", "tensorboard"}
    assert not loaded & slow
    assert "clipnerf" in loaded


def test_editor_and_codes_are_there_when_asked_for():
    assert "torch" in _loaded_by("from clipnerf import Codes; assert Codes.__name__ == 'Codes'")
    import clipnerf

    assert {"Editor", "Codes", "Camera"} <= set(dir(clipnerf))
    with pytest.raises(AttributeError, match="Editr"):
        clipnerf.Editr  # noqa: B018
