"""Bundles with two kinds of mapper, and what the universal one decides by default."""

import hashlib
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from clipnerf.clip.model import Clip
from clipnerf.clip.prompts import load_library, text_embedding
from clipnerf.editor import Editor, mapper_kinds
from clipnerf.errors import UsageError
from clipnerf.evaluation.edits.benchmark import load_wishes
from clipnerf.gan.generator import Generator
from clipnerf.io.weights import listed_files
from clipnerf.vision.recognizer import Recognizer
from tests.tiny_bundle import tiny_bundle, tiny_universal

RED = "a red chair"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny_bundle(tmp_path_factory.mktemp("bundle"))
    hashes = {
        "generator_hash": Generator.load(folder / "generator.safetensors").hash,
        "clip_hash": Clip.load(str(folder / "clip.safetensors")).hash,
    }
    tiny_universal(**hashes).save(folder / "mapper_universal.safetensors")
    return folder


@pytest.fixture
def editor(folder):
    return Editor.load(folder, device="cpu")


def _set_route(editor: Editor, shape: float, appearance: float, shortest: float = 0.0) -> None:
    """Limits so that RED gets these strengths."""
    universal, clip = editor.universal, editor.clip
    assert universal is not None and clip is not None
    direction = text_embedding(clip, RED)[None] - universal.shape.centre
    for row, (half, strength) in enumerate(
        ((universal.shape, shape), (universal.appearance, appearance))
    ):
        energy = float(half.variation.aim(direction).energy)
        # log-linear between begin and full
        universal.router.begin[row] = energy * 2.0**-strength if strength else energy * 2
        universal.router.full[row] = universal.router.begin[row] * 2
    universal.router.shortest.fill_(shortest)


def test_the_universal_mapper_is_the_default_and_the_papers_can_be_asked_for(folder):
    assert mapper_kinds(folder) == ["paper", "universal"]
    assert Editor.load(folder, "cpu").universal is not None
    assert Editor.load(folder, "cpu", mapper="universal").universal is not None
    paper = Editor.load(folder, "cpu", mapper="paper")
    assert paper.universal is None and set(paper.mappers) == {"shape", "appearance"}


def test_a_kind_that_is_not_there_is_refused_in_one_line(folder, tmp_path):
    only = tiny_bundle(tmp_path)
    assert mapper_kinds(only) == ["paper"] and Editor.load(only, "cpu").universal is None
    with pytest.raises(UsageError, match=r"mapper is 'universal'; .* has: paper; train it"):
        Editor.load(only, "cpu", mapper="universal")
    with pytest.raises(UsageError, match="mapper is 'other'"):
        Editor.load(folder, "cpu", mapper="other")


def test_words_decide_which_code_moves_and_the_other_keeps_its_bits(editor):
    codes = editor.sample([0, 1])
    _set_route(editor, 0, 1)
    edited = editor.edit(codes, RED)
    assert torch.equal(edited.shape, codes.shape)
    assert torch.equal(edited.appearance, editor.edit(codes, RED, 0, 1).appearance)
    assert not torch.equal(edited.appearance, codes.appearance)
    _set_route(editor, 1, 0)
    edited = editor.edit(codes, RED)
    assert torch.equal(edited.appearance, codes.appearance)
    assert not torch.equal(edited.shape, codes.shape)


def test_a_person_can_override_either(editor):
    codes = editor.sample([0, 1])
    _set_route(editor, 0, 1)
    both = editor.edit(codes, RED, shape=0.7)
    assert not torch.equal(both.shape, codes.shape)
    assert torch.equal(both.appearance, editor.edit(codes, RED).appearance)
    assert editor.edit(codes, RED, shape=0, appearance=0) is codes


def test_route_says_what_edit_does_by_default(editor):
    _set_route(editor, 0.5, 1)
    route = editor.route(RED)
    assert route["shape"] == pytest.approx(0.5, abs=0.01) and route["appearance"] == 1
    codes = editor.sample([0])
    by_hand = editor.edit(codes, RED, shape=route["shape"], appearance=1)
    assert torch.allclose(editor.edit(codes, RED).shape, by_hand.shape, atol=1e-5)
    paper = Editor(editor.generator, editor.clip)
    assert paper.route(RED) == {"shape": 1.0, "appearance": 1.0}


def test_several_prompts_and_one_for_each_object_are_routed_each(editor):
    codes = editor.sample([0, 1])
    _set_route(editor, 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        each = editor.edit(codes, [RED, "a wide chair"])
        together = editor.edit(codes, {RED: 0.5, "a wide chair": 0.0})
    assert torch.equal(each.shape[0], codes.shape[0])
    alone = editor.edit(codes, RED)
    assert torch.allclose(each.appearance[0], alone.appearance[0], atol=1e-6)
    half = editor.edit(codes, RED, appearance=0.5)
    assert torch.allclose(together.appearance, half.appearance, atol=1e-5)


def test_what_the_model_cannot_do_is_said_and_left_alone(editor):
    codes = editor.sample([0])
    _set_route(editor, 0, 0)
    with pytest.warns(UserWarning, match="outside what this model can do: its objects do not"):
        edited = editor.edit(codes, RED)
    assert torch.equal(edited.shape, codes.shape)
    assert torch.equal(edited.appearance, codes.appearance)
    _set_route(editor, 1, 1, shortest=1e3)
    with pytest.warns(UserWarning, match="hardly tells it from the bare category"):
        assert editor.route(RED) == {"shape": 0.0, "appearance": 0.0}


def test_exemplars_are_followed_by_both_mappers(editor):
    codes = editor.sample([0])
    _set_route(editor, 0, 0)
    edited = editor.edit(codes, image=editor.render(editor.sample([5]), size=16).rgb)
    assert not torch.equal(edited.shape, codes.shape)
    assert not torch.equal(edited.appearance, codes.appearance)


def reading(editor: Editor, category: str):
    """Renders objects from one side, and reads them by the recognizer of their bundle."""
    path = f"data/pretrained/{category}/evaluation/recognizer.safetensors"
    recognizer = Recognizer.load(path)

    def seen(codes):
        view = editor.render(codes, azimuth_deg=35, elevation_deg=20, size=128)
        return view, recognizer.read(view.rgb)

    return seen


@pytest.fixture(scope="module")
def chairs() -> Editor:
    return Editor.load("data/pretrained/chairs", "cpu")


@pytest.fixture(scope="module")
def cars() -> Editor:
    return Editor.load("data/pretrained/cars", "cpu")


@pytest.mark.parametrize("name", ["chairs", "cars"])
def test_a_bundle_routes_its_wishes(name):
    folder = f"data/pretrained/{name}"
    editor = Editor.load(folder, "cpu")
    for wish in load_wishes(f"{folder}/evaluation/wishes.yaml"):
        wanted = {"shape": wish.shape, "appearance": wish.appearance}
        assert editor.route(wish.prompt) == wanted, wish.prompt


def test_the_chairs_bundle_routes_what_names_both_codes_or_none(chairs):
    for prompt in ("a tall red chair", "a black chair with thin legs"):
        assert chairs.route(prompt) == {"shape": 1, "appearance": 1}, prompt
    with pytest.warns(UserWarning, match="outside what this model can do"):
        assert chairs.route("a chair with wheels") == {"shape": 0, "appearance": 0}


def test_the_chairs_bundle_does_what_is_said_and_leave_the_rest(chairs):
    """Read by a recognizer that did not guide; eight objects, a view each."""
    seen = reading(chairs, "chairs")
    codes = chairs.sample(range(8))
    before, _ = seen(codes)
    blue, read = seen(chairs.edit(codes, "a blue chair"))
    assert torch.equal(blue.opacity, before.opacity) and torch.equal(blue.depth, before.depth)
    assert float(read.is_value("seat_color", "blue").float().mean()) >= 7 / 8
    _, read = seen(chairs.edit(codes, "a chair with a pedestal base"))
    assert float(read.is_value("base", "pedestal").float().mean()) >= 7 / 8
    _, read = seen(chairs.edit(codes, "a green chair with a pedestal base"))
    assert float(read.is_value("seat_color", "green").float().mean()) >= 6 / 8
    assert float(read.is_value("base", "pedestal").float().mean()) >= 6 / 8


def test_the_cars_bundle_does_what_is_said_and_leave_the_rest(cars):
    """Read by a recognizer that did not guide; eight objects, a view each."""
    assert cars.route("a yellow SUV") == {"shape": 1, "appearance": 1}
    seen = reading(cars, "cars")
    codes = cars.sample(range(8))
    before, _ = seen(codes)
    red, read = seen(cars.edit(codes, "a red car"))
    assert torch.equal(red.opacity, before.opacity) and torch.equal(red.depth, before.depth)
    assert float(read.is_value("color", "red").float().mean()) >= 7 / 8
    _, read = seen(cars.edit(codes, "a van"))
    assert float(read.is_value("body", "van").float().mean()) >= 6 / 8


@pytest.mark.parametrize("category", ["chairs", "cars"])
def test_a_bundle_is_judged_by_the_wishes_of_configs_and_learned_the_library(category):
    own = Path(f"data/pretrained/{category}/evaluation/wishes.yaml")
    assert own.read_bytes() == Path(f"configs/wishes-{category}.yaml").read_bytes()
    library = load_library(f"configs/library-{category}.yaml")
    assert {wish.prompt for wish in load_wishes(own)} == {*library.shape, *library.appearance}


@pytest.mark.parametrize(
    "name", ["mapper_universal", "mapper_shape", "clip", "region", "generator"]
)
def test_what_a_bundle_has_lost_is_said(folder, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    lines = [f"{'0' * 64}  {file.name}" for file in sorted(copy.glob("*.safetensors"))]
    lines += [f"{'0' * 64}  region.safetensors", f"{'0' * 64}  features.safetensors"]
    (copy / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    (copy / f"{name}.safetensors").unlink(missing_ok=True)
    if name == "generator":
        with pytest.raises(UsageError, match="holds no generator"):
            Editor.load(copy, "cpu")
        return
    with pytest.warns(UserWarning, match=rf"has lost .*{name}.safetensors.*copy it again") as said:
        Editor.load(copy, "cpu")
    assert len(said) == 1 and "features" not in str(said[0].message)
    assert ("the paper's mappers" in str(said[0].message)) == (name == "mapper_universal")
    if name == "mapper_universal":
        (copy / "region.safetensors").touch()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Editor.load(copy, "cpu", mapper="paper")  # nothing is missed


SUMS_OF = sorted(Path("data/pretrained").glob("**/SHA256SUMS"))


@pytest.mark.parametrize("sums", SUMS_OF, ids=lambda sums: sums.parent.as_posix())
def test_the_lists_of_the_bundles_are_true(sums):
    """If not: cd FOLDER && sha256sum *.safetensors > SHA256SUMS."""
    held = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sums.parent.glob("*.safetensors")
    }
    assert listed_files(sums.parent) == held and len(SUMS_OF) == 4


def test_a_flipped_bit_of_a_bundle_is_found(tmp_path):
    shutil.copytree("data/pretrained/cars", tmp_path / "cars")
    path = tmp_path / "cars" / "mapper_universal.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1000] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(UsageError, match="mapper_universal.safetensors' is damaged"):
        Editor.load(tmp_path / "cars", "cpu")
