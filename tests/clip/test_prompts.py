"""Templates and text libraries."""

from pathlib import Path

import pytest
import torch

from clipnerf.clip.model import Clip
from clipnerf.clip.prompts import TEMPLATES, load_library, text_embedding
from clipnerf.errors import UsageError

LIBRARIES = Path(__file__).parents[2] / "configs"


def test_template_average(trained: Path) -> None:
    clip = Clip.load(trained)
    found = text_embedding(clip, "a red disc", ("{}", "a photo of {}"))
    texts = clip.encode_text(["a red disc", "a photo of a red disc"])
    assert torch.allclose(found, torch.nn.functional.normalize(texts.mean(0), dim=0))
    assert found.norm().item() == pytest.approx(1, abs=1e-5)
    assert not torch.allclose(found, texts[0], atol=1e-4)


def test_templates_hold_the_prompt_once() -> None:
    assert all(template.count("{}") == 1 for template in TEMPLATES)


@pytest.mark.parametrize("prompt, templates", [(" ", TEMPLATES), ("a chair", ("a photo",))])
def test_bad_prompt_or_template(trained: Path, prompt: str, templates: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        text_embedding(Clip.load(trained), prompt, templates)


@pytest.mark.parametrize("name", ["chairs", "cars", "fruit"])
def test_libraries_of_the_project(name: str) -> None:
    library = load_library(LIBRARIES / f"library-{name}.yaml")
    assert library.neutral and len(library.shape) > 5 and len(library.appearance) > 5


@pytest.mark.parametrize(
    "text, named",
    [
        ("neutral: a chair\nshape: []\n", "appearance"),
        ("neutral: ''\nshape: [a]\nappearance: [b]\n", "neutral"),
        ("neutral: a chair\nshape: [a, a]\nappearance: [b]\n", "twice"),
        ("neutral: a chair\nshape: a wide chair\nappearance: [b]\n", "list"),
        ("neutral: a chair\nshape: []\nappearance: []\n", "no prompt"),
        ("shape: [\n", "YAML"),
        ("just words\n", "keys"),
    ],
)
def test_bad_libraries(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "library.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=named) as caught:
        load_library(path)
    assert "\n" not in str(caught.value) and "library.yaml" in str(caught.value)


def test_missing_library() -> None:
    with pytest.raises(UsageError, match="nowhere.yaml"):
        load_library("nowhere.yaml")
