"""export: what it writes, and that it looks before it works."""

import numpy as np
import pytest
import trimesh

from clipnerf.commands import export as verb
from clipnerf.config.export import ExportConfig
from clipnerf.editor import Editor
from clipnerf.editor import mesh as extraction
from clipnerf.errors import ClipNerfError, UsageError
from tests.tiny_bundle import tiny_bundle, tiny_parts


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return str(tiny_parts(tiny_bundle(tmp_path_factory.mktemp("bundle"), 3)))


@pytest.fixture(autouse=True)
def _small_views(monkeypatch):
    monkeypatch.setattr(extraction, "VIEW_SIZE", 16)


def _config(bundle, out, **options):
    return ExportConfig(bundle=bundle, out=str(out), resolution=20, device="cpu", **options)


def _read(path):
    return trimesh.load(path, force="mesh", process=False, maintain_order=True)


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_one_object_is_the_file_that_was_asked_for(bundle, tmp_path, suffix):
    (path,) = verb.export(_config(bundle, tmp_path / f"x/chair{suffix}", seeds=[3]))
    assert path == tmp_path / f"x/chair{suffix}" and len(_read(path).faces) > 100
    assert list(path.parent.iterdir()) == [path]


def test_several_objects_are_a_file_each_named_after_them(bundle, tmp_path):
    paths = verb.export(_config(bundle, tmp_path / "c.ply", seeds=[3, 0]))
    assert [path.name for path in paths] == ["c-seed-3.ply", "c-seed-0.ply"]
    (alone,) = verb.export(_config(bundle, tmp_path / "alone.ply", seeds=[0]))
    assert np.array_equal(_read(alone).vertices, _read(paths[1]).vertices)
    same = verb.export(_config(bundle, tmp_path / "d.ply", seeds=[3, 3]))
    assert [path.name for path in same] == ["d-0-seed-3.ply", "d-1-seed-3.ply"]


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen", "ignore:the segmenter never met")
@pytest.mark.parametrize(
    "edit",
    [
        {"text": "a red chair", "shape": 0.0, "appearance": 1.0},
        {"edit": ["the seat: red"]},
        {"text": "red", "region_box": [-1.0, -1.0, 0.0, 1.0, 1.0, 1.0]},
    ],
)
def test_edits_of_color_alone_change_no_vertex(bundle, tmp_path, edit):
    (before,) = verb.export(_config(bundle, tmp_path / "a.ply"))
    (after,) = verb.export(_config(bundle, tmp_path / "b.ply", **edit))
    was, now = _read(before), _read(after)
    assert np.array_equal(was.vertices, now.vertices) and np.array_equal(was.faces, now.faces)
    difference = np.abs(was.visual.vertex_colors.astype(int) - now.visual.vertex_colors)
    assert difference.max() > 10


def test_scale_is_in_world_units(bundle, tmp_path):
    (small,) = verb.export(_config(bundle, tmp_path / "a.stl"))
    (large,) = verb.export(_config(bundle, tmp_path / "b.stl", scale=100.0))
    assert _read(large).extents == pytest.approx(100 * _read(small).extents, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"out": "a.fbx"}, r"out is 'a.fbx'; allowed: a name that ends in .glb, .obj, .ply, .stl"),
        ({"resolution": 8}, "resolution is 8; allowed: 16 to 512"),
        ({"crumbs": -0.1}, "crumbs is -0.1"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"seeds": []}, "seeds is"),
        ({"text": "a chair", "image": "a.png"}, "text and image are all given"),
        ({"image": "out/none.png"}, "'out/none.png' does not exist"),
    ],
)
def test_misuse_is_found_before_the_work(bundle, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Editor, "load", lambda *a, **k: pytest.fail("loaded first"))
    with pytest.raises(UsageError, match=said):
        verb.export(ExportConfig(**({"bundle": bundle, "out": "a.glb"} | options)))
    assert not list(tmp_path.iterdir())


def test_a_missing_library_and_an_unwritable_path_are_found_before_the_work(
    bundle, tmp_path, monkeypatch
):
    monkeypatch.setattr(Editor, "load", lambda *a, **k: pytest.fail("loaded first"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ClipNerfError, match="file"):
        verb.export(_config(bundle, tmp_path / "file" / "a.glb"))
    monkeypatch.setattr(extraction.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"scikit-image.*pip install 'clipnerf\[mesh\]'"):
        verb.export(_config(bundle, tmp_path / "a.glb"))


def test_a_failure_leaves_nothing(bundle, tmp_path, monkeypatch):
    def broken(*args, **options):
        raise ClipNerfError("nothing to make a mesh of")

    monkeypatch.setattr(Editor, "mesh", broken)
    with pytest.raises(ClipNerfError, match="nothing"):
        verb.export(_config(bundle, tmp_path / "a.glb"))
    assert not list(tmp_path.iterdir())
