"""Inversion by both methods: what is fitted, what is kept, when it stops."""

from dataclasses import replace

import pytest
import torch

from clipnerf.clip.model import Clip
from clipnerf.config.inversion import EncoderConfig, InversionConfig, InversionLossConfig
from clipnerf.errors import UsageError
from clipnerf.fields.masks import BoxRegion
from clipnerf.gan.codes import Codes, Detail, LocalEdit
from clipnerf.inversion import optimize, paper
from clipnerf.inversion.descent import LatentOptimizer, rate_share
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.initialize import starts
from clipnerf.inversion.invert import invert_photos, invert_pictures
from clipnerf.inversion.objective import StyleSpread, Target, foreground_r2, psnr, scattered
from clipnerf.inversion.pose import Pose
from tests.tiny_bundle import CODE_DIM, tiny_clip_file, tiny_generator

QUICK = InversionConfig(
    size=16, samples=4, starts=2, rough_steps=6, steps=6, paper_steps=4, patience=50
)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator()


@pytest.fixture(scope="module")
def own(generator):
    """Four of the generator's own pictures, their codes and cameras."""
    codes = Codes.from_seeds([0, 1, 2, 3], CODE_DIM)
    camera = generator.sample_cameras(4, 16, torch.Generator().manual_seed(0))
    with torch.no_grad():
        return generator.render(codes, camera, samples=4).rgb, codes, camera


def test_the_target_is_met_by_its_own_codes_and_camera(generator, own):
    pictures, codes, camera = own
    target = Target(generator, pictures, InversionLossConfig(clip=0.0, perceptual=0.0), 4)
    rows = torch.arange(4)
    pose = Pose.of_camera(camera, generator.config.camera)
    assert target.squared(target.render(codes, pose), rows).max() < 1e-8
    index = scattered(16, torch.Generator().manual_seed(0))
    assert len(index) == 64 and len(set(index.tolist())) == 64
    assert target.squared(target.render(codes, pose, index), rows, index).max() < 1e-8
    assert target.squared(target.render(codes[[1, 0, 3, 2]], pose), rows).min() > 1e-4


def test_gradients_reach_pose_codes_and_detail(generator, own):
    pictures, codes, camera = own
    config = replace(QUICK, loss=InversionLossConfig(clip=0.0, perceptual=0.0))
    target = Target(generator, pictures, config.loss, 4)
    pose = Pose.of_camera(camera, generator.config.camera)
    moving = LatentOptimizer(
        codes[[1, 0, 3, 2]], pose, config, StyleSpread.of(generator), generator.field.detail_layers
    )
    loss = target.squared(target.render(moving.codes(), moving.pose()), torch.arange(4))
    loss.sum().backward()
    for parameter in (moving.change, moving.shape, moving.appearance, *moving.detail):
        assert bool((parameter.grad.flatten(1).abs().sum(1) > 0).all())


def test_detail_of_nothing_changes_nothing_and_keeps_to_its_own(generator, own):
    _, codes, camera = own
    layers, style = generator.field.detail_layers, generator.config.field.style_dim
    nothing = Detail(torch.zeros(4, layers[0], style), torch.zeros(4, layers[1], style))
    plain = generator.render(codes, camera)
    same = generator.render(replace(codes, detail=nothing), camera)
    assert torch.equal(plain.rgb, same.rgb)
    colored = replace(nothing, appearance=torch.ones(4, layers[1], style))
    view = generator.render(replace(codes, detail=colored), camera)
    assert torch.equal(view.opacity, plain.opacity) and torch.equal(view.depth, plain.depth)
    assert not torch.allclose(view.rgb, plain.rgb)
    shaped = replace(nothing, shape=torch.ones(4, layers[0], style))
    moved = generator.render(replace(codes, detail=shaped), camera)
    assert not torch.allclose(moved.opacity, plain.opacity)
    with torch.no_grad():  # finished pictures tell objects apart by their detail as well
        two = Codes.cat([codes[[0]], replace(codes, detail=shaped)[[0]]])
        first, second = generator.render(two, camera[torch.tensor([0, 0])].resized(80)).rgb
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("method", ["encoder", "paper"])
def test_own_pictures_are_fitted_better_than_at_the_start(generator, own, method):
    config = replace(QUICK, method=method, rough_steps=20, steps=20, paper_steps=40)
    found = invert_pictures(generator, own[0], config)
    first, last = found.history[0].psnr, found.history[-1].psnr
    assert all(b >= a - 1e-4 for a, b in zip(first, last, strict=True))
    assert sum(last) / 4 > sum(first) / 4 + (1.5 if method == "encoder" else 0.5)
    # what is returned is what was measured; the sampling of finished pictures is finer
    assert float(found.psnr.mean()) == pytest.approx(sum(last) / 4, abs=1.5)
    assert found.cameras.width == 16 and len(found) == 4 and not found.interrupted
    assert (found.codes.detail is not None) == (method == "encoder")


def test_the_same_twice_and_alone_as_in_a_batch(generator, own):
    config = replace(QUICK, loss=InversionLossConfig(clip=0.0, perceptual=0.0))
    encoder = Encoder(EncoderConfig(size=16, width=4, hidden=8, bins=8), CODE_DIM).eval()
    both = invert_pictures(generator, own[0][:2], config, encoder=encoder)
    again = invert_pictures(generator, own[0][:2], config, encoder=encoder)
    assert torch.equal(both.codes.shape, again.codes.shape)
    alone = invert_pictures(generator, own[0][1:2], config, encoder=encoder)
    torch.testing.assert_close(alone.codes.shape, both.codes.shape[1:], atol=0.03, rtol=0)
    torch.testing.assert_close(alone.poses.rotation, both.poses.rotation[1:], atol=0.03, rtol=0)


def test_starts_are_the_best_that_were_looked_at(generator, own):
    pictures = own[0]
    target = Target(generator, pictures, InversionLossConfig(clip=0.0, perceptual=0.0), 4)
    codes, pose, rows = starts(target, None, replace(QUICK, starts=3))
    assert rows.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    index = scattered(16, torch.Generator().manual_seed(5))
    with torch.no_grad():
        losses = target.squared(target.render(codes, pose, index), rows, index).view(4, 3)
    assert (losses[:, 0] < losses[:, 2]).float().mean() >= 0.75


@pytest.mark.parametrize(("method", "after"), [("encoder", 2), ("encoder", 8), ("paper", 2)])
def test_stopped_by_the_person_it_keeps_the_best_so_far(generator, own, monkeypatch, method, after):
    calls = []

    def count(step, steps):
        calls.append(step)
        if len(calls) == after + 1:
            raise KeyboardInterrupt
        return rate_share(step, steps)

    monkeypatch.setattr(optimize, "rate_share", count)
    monkeypatch.setattr(paper, "rate_share", count)
    found = invert_pictures(generator, own[0], replace(QUICK, method=method))
    assert found.interrupted and len(found) == 4
    assert bool(torch.isfinite(found.psnr).all())


def test_it_stops_early_where_nothing_improves(generator, own):
    config = replace(
        QUICK, rough_steps=0, steps=30, patience=3, pose_rate=1e-9, code_rate=1e-9, detail_rate=1e-9
    )
    found = invert_pictures(generator, own[0], config)
    assert found.history[-1].step == 4


def test_clip_and_lpips_are_terms_of_the_loss(generator, own, tmp_path):
    pictures = own[0]
    clip = Clip.load(tiny_clip_file(tmp_path))

    def distance(first, second, normalize):
        assert normalize
        return (first - second).abs().mean((1, 2, 3), keepdim=True)

    target = Target(generator, pictures, InversionLossConfig(), 4, clip, distance)
    rgb = pictures[[1, 0, 3, 2]].flatten(2).mT
    terms = target.reconstruction_losses(rgb, torch.arange(4))
    assert set(terms) == {"l2", "clip", "perceptual"}
    assert all(term.shape == (4,) and bool((term > 0).all()) for term in terms.values())
    same = target.reconstruction_losses(pictures.flatten(2).mT, torch.arange(4))
    assert all(float(term.abs().max()) < 1e-4 for term in same.values())
    without = Target(
        generator, pictures, InversionLossConfig(clip=0.0, perceptual=0.0), 4, clip, distance
    )
    assert set(without.reconstruction_losses(rgb, torch.arange(4))) == {"l2"}


def test_the_papers_noise_and_clip_change_what_is_found(generator, own, tmp_path):
    clip = Clip.load(tiny_clip_file(tmp_path))
    config = replace(QUICK, method="paper")
    found = {
        name: invert_pictures(generator, own[0], some, clip=clip).history[-1].psnr
        for name, some in (
            ("paper", config),
            ("no noise", replace(config, paper_noise=0.0)),
            ("no clip", replace(config, paper_clip=0.0)),
        )
    }
    assert len(set(found.values())) == 3


def test_styles_far_from_usual_cost(generator):
    spread = StyleSpread.of(generator)
    codes = Codes.from_seeds(range(200), CODE_DIM)
    assert float(spread.distance(generator, codes).mean()) == pytest.approx(1, abs=0.1)
    pose = Pose.from_angles(torch.zeros(1), torch.zeros(1))
    layers = generator.field.detail_layers
    moving = LatentOptimizer(codes[[0]], pose, QUICK, spread, layers)
    target = Target(generator, torch.ones(1, 3, 16, 16), QUICK.loss, 4)
    with torch.no_grad():
        before = float(moving.prior_loss(target))
        moving.detail[0].add_(2.0)
        detailed = float(moving.prior_loss(target))
        moving.change[:, 2] = 0.5
        assert before < detailed < float(moving.prior_loss(target))


def test_explained_is_the_share_that_is_shown_whatever_the_size():
    pictures = torch.ones(2, 3, 16, 16)
    pictures[0, :, :8, :8], pictures[1, :, :2, :2] = 0.0, 0.0
    half = 1 - 0.5 * (1 - pictures)
    assert foreground_r2(pictures, pictures).tolist() == [1, 1]
    assert foreground_r2(pictures, torch.ones_like(pictures)).tolist() == [0, 0]
    assert foreground_r2(pictures, half).tolist() == pytest.approx([0.75, 0.75])
    assert psnr(pictures, half).tolist() == pytest.approx([12.04, 24.08], abs=0.01)


def test_a_poor_reconstruction_is_said(generator):
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="picture 1 is reconstructed poorly: 0.[0-9]+ of it"):
        found = invert_photos(generator, noise, QUICK)
    assert found.poor == (True,)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"starts": 0}, "starts is 0"),
        ({"steps": -1}, "steps is -1"),
        ({"code_rate": 0.0}, "code_rate is 0.0"),
        ({"size": 8}, "size is 8"),
        ({"loss": InversionLossConfig(l2=-1.0)}, "loss.l2 is -1.0"),
    ],
)
def test_a_value_out_of_range_is_named(generator, own, change, says):
    with pytest.raises(UsageError, match=says):
        invert_pictures(generator, own[0], replace(QUICK, **change))


def test_what_cannot_be_inverted_is_refused(generator, own):
    with pytest.raises(UsageError, match="list of photos is empty"):
        invert_photos(generator, [], QUICK)
    with pytest.raises(UsageError, match="16 x 12 pixels"):
        invert_pictures(generator, own[0][:, :, :12], QUICK)
    with pytest.raises(UsageError, match="entangled"):
        invert_pictures(tiny_generator(conditioning="entangled"), own[0], QUICK)


def test_rates_rise_and_fall():
    shares = [rate_share(step, 50) for step in range(50)]
    assert max(shares) <= 1 and shares[5] > shares[0] and shares[-1] < 0.1


def test_codes_with_local_edits_are_not_written_without_them(generator, own, tmp_path):
    found = invert_pictures(generator, own[0][:1], QUICK)
    box = BoxRegion(-torch.ones(1, 3), torch.ones(1, 3))
    layer = LocalEdit(box, None, found.codes.appearance, torch.ones(1, 1))
    edited = replace(found, codes=replace(found.codes, layers=(layer,)))
    with pytest.raises(UsageError, match="1 local edits, which a file cannot hold"):
        edited.save(tmp_path / "codes.safetensors", generator.hash)
    assert not list(tmp_path.iterdir())
