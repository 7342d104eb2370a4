"""What an evaluation has at hand: given first, then the bundle's own, else said to be absent."""

import pytest

from clipnerf.config.evaluation import EvaluateConfig
from clipnerf.errors import UsageError
from clipnerf.evaluation.resources import find_means, with_size
from tests.tiny_bundle import tiny_clip_file


@pytest.fixture()
def bundle(tmp_path):
    for name in ("generator", "clip"):
        (tmp_path / f"{name}.safetensors").touch()
    (tmp_path / "evaluation").mkdir()
    return tmp_path


def names(means) -> set[str]:
    return {each.name for each in means.absent}


def test_an_empty_bundle_lacks_everything(bundle):
    means = find_means(EvaluateConfig(bundle=str(bundle)))
    assert names(means) == {"wishes", "data", "judge", "recognizer", "entangled"}
    assert all(each.lost and "give --" in each.give for each in means.absent)
    (bundle / "clip.safetensors").unlink()
    assert "clip" in names(find_means(EvaluateConfig(bundle=str(bundle))))


def test_what_the_bundle_brings_and_what_is_given_in_its_place(bundle, tmp_path):
    folder = bundle / "evaluation"
    for name in ("judge", "recognizer", "entangled"):
        (folder / f"{name}.safetensors").touch()
    (folder / "wishes.yaml").touch()
    (folder / "evaluation.yaml").write_text("category: cars\n")
    means = find_means(EvaluateConfig(bundle=str(bundle)))
    assert names(means) == set() and means.judge == str(folder / "judge.safetensors")
    assert (means.category, means.neutral, means.data) == ("cars", "a car", "")

    own = tmp_path / "own.yaml"
    own.touch()
    given = EvaluateConfig(
        bundle=str(bundle),
        judge="ViT-B-32:tag",
        wishes=str(own),
        category="chairs",
        neutral="a seat",
        data=str(bundle),
    )
    means = find_means(given)
    assert means.judge == "ViT-B-32:tag" and means.wishes == str(own)
    assert (means.category, means.neutral, means.data) == ("chairs", "a seat", str(bundle))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("category: sofas", "category is 'sofas'; allowed: chairs or cars"),
        ("kategory: chairs", "allowed are the keys category and neutral"),
        ("neutral: 3", "neutral is 3; it is a text"),
        ("- a\n- b", "allowed are the keys"),
        ("{", "is not YAML"),
    ],
)
def test_an_evaluation_file_that_says_something_else(bundle, content, said):
    (bundle / "evaluation" / "evaluation.yaml").write_text(content)
    with pytest.raises(UsageError, match=said):
        find_means(EvaluateConfig(bundle=str(bundle)))


def test_files_that_are_not_there(bundle, tmp_path):
    for key in ("recognizer", "entangled", "wishes"):
        with pytest.raises(UsageError, match=f"{key} is 'none', which is no file"):
            find_means(EvaluateConfig(bundle=str(bundle), **{key: "none"}))
    with pytest.raises(UsageError, match="data is 'none', which does not exist"):
        find_means(EvaluateConfig(bundle=str(bundle), data="none"))
    with pytest.raises(UsageError, match="holds no generator"):
        find_means(EvaluateConfig(bundle=str(tmp_path / "none")))


def test_quick_takes_less_but_never_more():
    config = EvaluateConfig(quick=True)
    assert (config.objects_used, config.samples_used) == (8, 200)
    few = EvaluateConfig(quick=True, objects=3, samples=20)
    assert (few.objects_used, few.samples_used) == (3, 20)
    assert EvaluateConfig(objects=40).objects_used == 40


def test_pictures_are_as_large_as_the_clip_reads_unless_a_size_is_given(tmp_path):
    assert with_size(EvaluateConfig(), tmp_path).size == 64
    tiny_clip_file(tmp_path)  # of 16 pixels
    assert with_size(EvaluateConfig(), tmp_path).size == 16
    assert with_size(EvaluateConfig(size=40), tmp_path).size == 40
