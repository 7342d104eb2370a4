"""What the README says to type is typed here; long trainings only as far as their plan."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipnerf.cli import main
from clipnerf.config.inversion import InversionConfig
from clipnerf.config.parse import parse
from clipnerf.config.verbs import VERBS
from tests.tiny_bundle import tiny_bundle, tiny_parts

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BUNDLE = ROOT / "data" / "pretrained" / "chairs"
TRAININGS = ("pretrain", "train-clip", "train-mapper")


def commands(text: str, program: str) -> list[str]:
    """Lines of code blocks, indented or fenced, that call a program."""
    return re.findall(rf"^(?: {{4}}|\$ )?({program} .+)$", text, flags=re.MULTILINE)


CLIPNERF = commands(README, "clipnerf")


def verb_of(command: str) -> str:
    words = shlex.split(command)[1:]
    two = " ".join(words[:2])
    return two if two in {verb.name for verb in VERBS} else words[0]


def draw_photo(path: Path) -> None:
    """A blue box on white."""
    pixels = np.full((24, 24, 3), 255, np.uint8)
    pixels[4:20, 8:16] = (30, 60, 200)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A folder in which the README's relative paths hold something small."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "configs").symlink_to(ROOT / "configs")
    size = ["--count", "24", "--size", "32"]
    assert main(["data", "synthesize", "chairs", *size, "--out", str(root / "data/chairs")]) == 0
    small = root / "small"
    small.mkdir()
    tiny_parts(tiny_bundle(small, 3))
    (root / "runs").mkdir()
    shutil.copytree(small, root / "runs/chairs")
    shutil.copytree(small, root / "runs/clip")
    shutil.copytree(small, root / "data/pretrained/chairs")
    draw_photo(root / "photo.png")
    return root


def test_the_readme_shows_every_stage():
    assert {verb_of(command) for command in CLIPNERF} >= {
        "data synthesize",
        "data check",
        *TRAININGS,
        "edit",
        "orbit",
    }
    assert len(commands(README, "bash")) == 2


@pytest.mark.parametrize("command", CLIPNERF)
def test_every_command_is_understood(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert parse(shlex.split(command)[1:]).verb.name == verb_of(command)


@pytest.mark.parametrize("command", [c for c in CLIPNERF if verb_of(c) in TRAININGS])
def test_every_training_plans_what_it_would_do(command, checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    before = sorted(checkout.rglob("*"))
    assert main([*shlex.split(command)[1:], "--dry-run"]) == 0, capsys.readouterr().err
    words = shlex.split(command)
    assert words[words.index("--out") + 1] in capsys.readouterr().out
    assert sorted(checkout.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen", "ignore:.*reconstructed poorly")
@pytest.mark.filterwarnings("ignore:the segmenter never met", "ignore:no such part")
@pytest.mark.parametrize("command", [c for c in CLIPNERF if verb_of(c) not in TRAININGS])
def test_the_other_commands_run(command, checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    # The same command with fewer and smaller pictures; what is given later wins.
    quicker = {
        "data synthesize": ["--count", "2", "--size", "16", "--out", "data/few"],
        "edit": ["--size", "16"],
        "orbit": ["--size", "16", "--frames", "3"],
        "export": ["--resolution", "16"],
        "invert": [f"--inversion.{key}=2" for key in ("rough_steps", "steps", "samples")],
    }.get(verb_of(command), [])
    assert main([*shlex.split(command)[1:], *quicker]) == 0, capsys.readouterr().err
    if verb_of(command) in ("edit", "orbit", "morph", "export"):
        assert Path(capsys.readouterr().out.split()[-1]).is_file()


@pytest.mark.parametrize("command", commands(README, "bash"))
def test_the_scripts_are_there_and_sound(command):
    words = shlex.split(command)
    subprocess.run(["bash", "-n", words[1]], cwd=ROOT, check=True)
    if words[1] == "scripts/quickstart.sh":
        assert parse(["demo", *words[2:]]).config.text


def test_verbs_named_in_passing_exist():
    named = set(re.findall(r"`clipnerf ((?:data |study )?[a-z][a-z-]*)", README))
    assert len(named) >= 2 and named <= {verb.name for verb in VERBS}


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen", "ignore:.*reconstructed poorly")
def test_the_python_example_runs_on_the_bundle(checkout, monkeypatch):
    example = re.search(r"```python\n(.+?)```", README, flags=re.DOTALL).group(1)
    for line in (
        'editor = Editor.load("data/pretrained/chairs")',
        "codes = editor.sample(seeds=[0, 1, 2, 3])",
        'edited = editor.edit(codes, "a red chair")',
        "view = editor.render(edited, azimuth_deg=30, elevation_deg=20, size=64)",
        'editor.orbit(edited, "red.mp4", frames=48, size=128)',
    ):
        assert line in example
    assert (BUNDLE / "generator.safetensors").is_file(), "the bundle is not in the repository"
    monkeypatch.chdir(checkout)
    quick = example.replace("data/pretrained/chairs", str(BUNDLE))
    quick = quick.replace("frames=48, size=128", "frames=3, size=32")
    names: dict = {"QUICK": InversionConfig(size=32, starts=1, rough_steps=2, steps=2)}
    assert 'editor.invert("photo.png")' in quick
    quick = quick.replace('editor.invert("photo.png")', 'editor.invert("photo.png", QUICK)')
    exec(compile(quick, "README.md", "exec"), names)
    assert len(names["found"]) == 1
    view = names["view"]
    assert view.rgb.shape == (4, 3, 64, 64) and view.opacity.shape == view.depth.shape
    assert (checkout / "red.mp4").stat().st_size > 0


@pytest.mark.parametrize("name", ["chairs", "cars"])
def test_a_bundle_is_small_and_explains_itself(name):
    bundle = BUNDLE.with_name(name)
    names = ("generator", "clip", "mapper_universal", "segmenter", "region", "encoder")
    wanted = {f"{name}.safetensors" for name in names} | {"README.md"}
    assert wanted <= {path.name for path in bundle.iterdir()}
    assert sum(path.stat().st_size for path in bundle.glob("*.safetensors")) <= 15e6
    assert sum(path.stat().st_size for path in bundle.rglob("*")) <= 20e6


def test_links_to_files_of_the_repository_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert len(local) > 5
    assert [link for link in local if not (ROOT / link).exists()] == []
