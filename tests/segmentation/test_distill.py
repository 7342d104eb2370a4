"""Distilling masks into a region field: it learns, it resumes, it is bound to what taught it."""

import dataclasses
import shutil

import pytest
import torch

from clipnerf.clip.model import Clip
from clipnerf.config.segmentation import TrainRegionConfig
from clipnerf.errors import UsageError
from clipnerf.evaluation.segmentation.voting import points_of, project, surface_depth, vote
from clipnerf.gan.codes import Codes
from clipnerf.io.weights import load_weights
from clipnerf.rendering.rays import pixel_grid, rays_through
from clipnerf.rendering.volume import RenderOutput
from clipnerf.segmentation import distill
from clipnerf.segmentation.distill import RegionTraining, plan, train_region
from clipnerf.segmentation.pseudo_labels import draw_points
from clipnerf.segmentation.region_file import load_region
from clipnerf.segmentation.segmenter import Segmenter
from clipnerf.training.run_folder import RunFolder
from tests.segmentation.conftest import TINY
from tests.tiny_bundle import tiny_generator


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, resnet_file):
    folder = tmp_path_factory.mktemp("bundle")
    tiny_generator().save(folder / "generator.safetensors")
    shutil.copy(resnet_file, folder / "clip.safetensors")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Segmenter(TINY, Clip.load(folder)).save(folder / "segmenter.safetensors")
    return folder


def config(bundle, out, **changes) -> TrainRegionConfig:
    settings = {
        "phrases": ["the disc", "the square", "the left disc"],
        "noun": "disc",
        "shapes": 30,
        "views": 1,
        "phrases_a_view": 2,
        "size": 16,
        "width": 8,
        "vector": 4,
        "steps": 3,
        "batch": 4,
        "points": 16,
        "log_every": 1,
        "checkpoint_every": 2,
        "device": "cpu",
        **changes,
    }
    return TrainRegionConfig(bundle=str(bundle), out=str(out), **settings)


class HalvesSegmenter(Segmenter):
    """Says that "the disc" is what is high in the picture, "the square" what is low."""

    def segment_many(self, pictures, texts, of):
        size = pictures.shape[-1]
        high = (torch.arange(size) < size // 2).float()[:, None].expand(size, size)
        masks = {"the disc": high, "the square": 1 - high}
        return torch.stack([masks.get(text, torch.zeros(size, size)) for text in texts])[:, None]


def test_learns_what_the_teacher_says(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(Segmenter, "segment_many", HalvesSegmenter.segment_many)
    wanted = config(bundle, tmp_path / "run", steps=150, shapes=50, size=24, points=64)
    generator, segmenter = distill._load(wanted)
    trainer = RegionTraining(wanted, generator, segmenter)
    before = trainer.measure()
    for number in range(wanted.steps):
        trainer.advance("learning", number)
    after = trainer.measure()
    # pictures are split across the middle, which lies elsewhere in space for every camera
    assert after["held-out agreement"] > 0.8 > before["held-out agreement"]


def test_what_the_segmenter_finds_counts_though_it_is_not_sure(bundle, tmp_path, monkeypatch):
    def unsure(self, pictures, texts, of):
        chance = torch.zeros(len(texts), 1, *pictures.shape[-2:])
        chance[:, :, :8] = 0.4
        found = torch.tensor([text != "the square" for text in texts])
        chance[found, :, 0, 0] = 0.9
        return chance

    monkeypatch.setattr(Segmenter, "segment_many", unsure)
    wanted = config(bundle, tmp_path / "run", shapes=4)
    trainer = RegionTraining(wanted, *distill._load(wanted))
    views = trainer.seen.render_and_segment(0)
    square = views.phrases == wanted.phrases.index("the square")
    assert bool(square.any()) and not bool(views.masks[square].any())
    assert 0.1 < float(views.masks[~square].float().mean()) < 0.9


def test_dice_finds_what_the_teacher_finds_in_less_than_half_of_the_views(bundle, tmp_path):
    def found(dice):
        wanted = config(
            bundle, tmp_path / "run", shapes=40, dice=dice, points=64, lr=0.01, steps=120, batch=16
        )
        trainer = RegionTraining(wanted, *distill._load(wanted))
        views = trainer._all()
        part = views.points[..., 2] > 0.3
        seen = torch.arange(len(part)) % 3 < 1
        trainer._codes = trainer._codes[torch.zeros(40, dtype=torch.long)]  # told by nothing
        trainer._views = dataclasses.replace(
            views, masks=(part & seen[:, None])[:, None].expand(-1, views.phrases.shape[1], -1)
        )
        for number in range(wanted.steps):
            trainer.advance("learning", number)
        with torch.no_grad():
            logits, _ = trainer._compare(torch.arange(40), torch.Generator().manual_seed(0))
        return float((logits > 0).float().mean()) / float(part.float().mean())

    without, with_dice = found(0.0), found(1.0)
    assert with_dice > 0.4 and with_dice > 3 * without, (without, with_dice)


def test_two_and_two_steps_are_four_and_the_file_is_bound(bundle, tmp_path, monkeypatch):
    whole = train_region(config(bundle, tmp_path / "whole"))

    class Killed(Exception):
        pass

    kept = RunFolder.save_state

    def stop(self, step, state, files):
        kept(self, step, state, files)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_state", stop)
        for _ in range(2):
            with pytest.raises(Killed):
                train_region(config(bundle, tmp_path / "parts"))
    (tmp_path / "parts/pictures/.part-0000.1-0a.tmp.safetensors").touch()  # as a kill leaves it
    parts = train_region(config(bundle, tmp_path / "parts"))
    a, b = (load_weights(path, "region").tensors for path in (whole, parts))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert not (tmp_path / "parts" / "pictures").exists()
    generator = tiny_generator()
    right = Segmenter.load(bundle, Clip.load(bundle)).hash
    _, noun = load_region(whole, generator_hash=generator.hash, segmenter_hash=right)
    assert noun == "disc"
    with pytest.raises(UsageError, match="belongs to the generator"):
        load_region(whole, generator_hash="0", segmenter_hash=right)
    with pytest.raises(UsageError, match="belongs to the segmenter"):
        load_region(whole, generator_hash=generator.hash, segmenter_hash="0")


def test_plan_and_a_bundle_without_segmenter(bundle, tmp_path):
    assert "30 shapes from 1 sides" in plan(config(bundle, tmp_path))["pictures"]
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(bundle / "generator.safetensors", bare)
    with pytest.raises(UsageError, match="holds no segmenter.safetensors"):
        plan(config(bare, tmp_path))


def test_entangled_generators_are_refused(bundle, tmp_path):
    folder = tmp_path / "entangled"
    shutil.copytree(bundle, folder)
    tiny_generator(conditioning="entangled").save(folder / "generator.safetensors")
    with pytest.raises(UsageError, match="entangled"):
        plan(config(folder, tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("phrases", []),
        ("phrases", [" "]),
        ("shapes", 0),
        ("vector", 2),
        ("points", 0),
        ("dice", -1.0),
        ("lr", 0.0),
    ],
)
def test_values_out_of_range(bundle, tmp_path, key, value):
    with pytest.raises(UsageError, match=key):
        config(bundle, tmp_path, **{key: value}).validate()


def test_points_are_drawn_as_pictures_are_made():
    """Colors looked up at points that were drawn give the picture's mean color of matter."""
    generator = tiny_generator()
    codes = Codes(
        torch.zeros(1, generator.config.field.code_dim),
        torch.zeros(1, generator.config.field.code_dim),
    )
    camera = generator.camera(30.0, 10.0, 16)
    with torch.no_grad():
        view = generator.render(codes, camera, background=0.0)
        drawn, pixel = draw_points(
            generator,
            codes,
            camera,
            view.opacity.flatten(1),
            20_000,
            torch.Generator().manual_seed(0),
        )
        shape, appearance = generator.styles(codes)
        features, _ = generator.field.geometry(drawn, shape)
        rgb = generator.field.color(features, appearance, None, drawn)
    share = view.opacity.sum()
    expected = view.rgb.sum((0, 2, 3)) / share
    torch.testing.assert_close(rgb.mean((0, 1)), expected, atol=0.01, rtol=0)
    seen = torch.bincount(pixel[0], minlength=256) / 20_000
    torch.testing.assert_close(seen, view.opacity.flatten() / share, atol=0.01, rtol=0)
    place, _ = project(camera, drawn[0])
    x, y = pixel[0] % 16, pixel[0] // 16
    centre = (torch.stack((x, y), -1) + 0.5) / 8 - 1
    torch.testing.assert_close(place[0], centre, atol=1e-3, rtol=0)


def test_depths_at_edges_are_no_surface():
    depth = torch.full((1, 1, 8, 8), 4.0)
    depth[..., 4:] = 2.0
    opacity = torch.ones_like(depth)
    opacity[:, :, 0] = 0.5
    seen = depths(opacity, depth)
    assert bool((seen[0] == 0).all()) and bool((seen[1:, 3:5] == 0).all())
    assert bool((seen[1:, :3] == 4).all()) and bool((seen[1:, 5:] == 2).all())


def test_the_depth_of_what_is_half_transparent_is_that_of_the_matter():
    generator = tiny_generator()
    far = rays_through(generator.camera(0.0, 0.0, 8), pixel_grid(8, 8), generator.box).far
    opacity = torch.full((1, 1, 8, 8), 0.75)
    depth = 0.75 * 4.0 + 0.25 * far.view(1, 1, 8, 8)
    torch.testing.assert_close(depths(opacity, depth), torch.full((8, 8), 4.0))


def depths(opacity, depth):
    """Depths of the surface in a view of 8 pixels."""
    generator = tiny_generator()
    view = RenderOutput(torch.zeros(1, 3, 8, 8), opacity, depth)
    return surface_depth(view, generator.camera(0.0, 0.0, 8), generator.box).view(8, 8)


def test_points_project_back_to_their_pixels():
    generator = tiny_generator()
    camera = generator.camera(torch.tensor([20.0, 200.0]), 15.0, 8)
    points = points_of(camera, torch.full((2, 64), 4.0), generator.box)
    place, distance = project(camera[0], points[0])
    centers = (torch.arange(8) + 0.5) / 4 - 1
    x, y = torch.meshgrid(centers, centers, indexing="xy")
    torch.testing.assert_close(place[0], torch.stack((x, y), -1).view(-1, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(distance[0], torch.full((64,), 4.0), atol=1e-4, rtol=0)


def test_votes_are_those_of_views_that_see_the_point(bundle, monkeypatch):
    generator, segmenter = tiny_generator(), Segmenter.load(bundle, Clip.load(bundle))
    monkeypatch.setattr(
        Segmenter, "segment", lambda self, pictures, texts: torch.full_like(pictures[:, :1], 0.7)
    )
    chance = vote(
        generator,
        segmenter,
        Codes.from_seeds([1], 16),
        "the disc",
        generator.camera(30.0, 20.0, 16),
    )
    assert chance.shape == (1, 1, 16, 16)
    found = chance[chance > 0]
    assert len(found) > 5 and float((found - 0.7).abs().median()) < 1e-3
