import numpy as np
import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.evaluation.views.consistency import (
    MAX_PICTURES,
    angles_between,
    share_closer,
    view_consistency,
    view_directions,
    view_pairs,
)


def world(objects: int, azimuths_deg: list[float]):
    """Object and direction of each picture: every object from every azimuth, on the level."""
    views = len(azimuths_deg)
    directions = view_directions(torch.tensor(azimuths_deg), torch.zeros(views))
    return (
        torch.arange(objects).repeat_interleave(views),
        torch.arange(views).repeat(objects),
        directions.repeat(objects, 1),
    )


def study(features, objects, directions, **more):
    return view_consistency(view_pairs(features, objects, directions), **more)


def on_circle(degrees: list[float]) -> torch.Tensor:
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack((angle.cos(), angle.sin()), 1)


def random_world(seed: int = 0):
    objects, _, directions = world(6, [0.0, 50.0, 170.0])
    torch.manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(18, 3), dim=1)
    return view_pairs(features, objects, directions)


def test_a_clip_that_knows_objects_and_ignores_views():
    objects, _, directions = world(4, [0.0, 90.0, 180.0])
    found = study(torch.eye(4)[objects], objects, directions)
    assert (found.same_object.mean, found.same_view.mean) == (0.0, 1.0)
    assert found.same_object.pairs == 4 * 3 and found.same_view.pairs == 3 * 6
    assert found.closer == 1.0 and found.closer_interval == (1.0, 1.0)
    assert found.nearest_same == 1.0 and found.nearest_chance == 0.25


def test_a_clip_that_knows_views_and_ignores_objects():
    objects, views, directions = world(4, [0.0, 90.0, 180.0])
    found = study(torch.eye(3)[views], objects, directions)
    assert (found.same_object.mean, found.same_view.mean) == (1.0, 0.0)
    assert found.closer == 0.0 and found.closer_interval == (0.0, 0.0)
    # everything from another view is equally far: no better than chance
    assert found.nearest_same == found.nearest_chance == 0.25


def test_a_clip_that_sees_nothing_is_at_chance():
    objects, _, directions = world(3, [0.0, 90.0])
    found = study(torch.tensor([[0.6, 0.8]]).expand(6, 2), objects, directions)
    assert found.same_object.mean == found.same_view.mean == 0.0
    assert found.closer == 0.5 and found.nearest_same == found.nearest_chance == pytest.approx(
        1 / 3
    )


def test_a_case_worked_out_by_hand():
    """A at 0 and 90 degrees of the circle of embeddings, B at 30 and 60; two views."""
    objects, _, directions = world(2, [0.0, 40.0])
    found = study(on_circle([0, 90, 30, 60]), objects, directions)
    near30 = 1 - 3**0.5 / 2
    assert found.same_object.mean == pytest.approx((1 + near30) / 2, abs=1e-6)
    assert found.same_view.quantiles == pytest.approx([near30] * 5, abs=1e-6)
    # A's pair loses to both of one view, B's ties with both
    assert found.closer == 0.25
    # A's pictures are nearest to B's, B's to B's
    assert (found.nearest_same, found.nearest_chance) == (0.5, 0.5)
    # draws of one object alone have nothing to compare; all others hold both objects once
    assert found.closer_interval == (0.25, 0.25)


def test_small_distances_are_told_apart_and_length_does_not_matter():
    """Embeddings of an untrained network lie in a narrow cone."""
    objects, _, directions = world(2, [0.0, 40.0])
    features = on_circle([0, 0.01, 0.03, 0.04]).float()
    wide, narrow = (
        study(each, objects, directions) for each in (on_circle([0, 1, 3, 4]), features)
    )
    assert narrow.closer == wide.closer == 1.0 and narrow.nearest_same == wide.nearest_same
    assert narrow.same_view.mean == pytest.approx((0.03 * np.pi / 180) ** 2 / 2, rel=0.02)
    longer = features * torch.tensor([[1.0], [3.0], [0.2], [7.0]])
    again = study(longer, objects, directions)
    assert again.same_view.mean == pytest.approx(narrow.same_view.mean, rel=0.02)


def test_the_share_is_that_of_all_comparisons():
    draw = np.random.RandomState(0)
    near, far = draw.randint(0, 9, 40) / 8, draw.randint(2, 12, 25) / 8
    wins = (near[:, None] < far).mean() + 0.5 * (near[:, None] == far).mean()
    assert share_closer(near, far) == pytest.approx(wins)
    assert share_closer(far, near) == pytest.approx(1 - wins)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_bootstrap_draw_counts_an_object_as_often_as_it_is_drawn(seed):
    pairs = random_world()
    drawn = np.random.RandomState(seed).randint(0, 6, 6)
    times = np.bincount(drawn, minlength=6)
    assert times.max() > 1 and times.min() == 0
    near = np.repeat(pairs.near, times[pairs.near_object])
    first, second = pairs.far_objects
    far = np.repeat(pairs.far, times[first] * times[second])
    low, high = view_consistency(pairs, resamples=1, seed=seed).closer_interval
    assert low == high == pytest.approx(share_closer(near, far))


def test_the_interval_depends_on_the_seed_alone():
    first, again, other = (view_consistency(random_world(), 50, seed) for seed in (3, 3, 4))
    assert first == again
    assert first.closer_interval != other.closer_interval
    low, high = first.closer_interval
    assert low < first.closer < high


def test_angles():
    directions = view_directions(
        torch.tensor([0.0, 90.0, 0.0, 180.0, 10.0, 200.0]),
        torch.tensor([0.0, 0.0, 45.0, 45.0, 90.0, 90.0]),
    )
    angles = angles_between(directions)
    assert angles[0].tolist() == [0, 90, 45, 135, 90, 90]
    assert angles[2, 3] == 90 and angles[4, 5] == 0
    assert torch.equal(angles, angles.mT)


def test_bins_hold_their_lower_edge_and_the_last_one_180():
    objects, _, directions = world(2, [0.0, 30.0, 180.0])
    features = torch.nn.functional.normalize(torch.rand(6, 4) + 0.1, dim=1)
    found = study(features, objects, directions, resamples=1)
    # angles 30, 150 and 180 for each object
    bins = [(each.from_deg, each.to_deg, each.spread.pairs) for each in found.by_angle]
    assert bins == [(30, 60, 2), (150, 180, 4)]


def test_a_bin_has_its_own_share():
    """One object, close from two sides near each other, and far from the third."""
    objects, _, directions = world(2, [0.0, 20.0, 120.0])
    features = on_circle([0, 10, 80, 30, 40, 110])
    near, middle = study(features, objects, directions).by_angle[:2]
    assert (near.from_deg, near.closer) == (0, 1.0)
    assert (middle.from_deg, middle.closer) == (90, 0.0)


def test_views_within_the_tolerance_are_one_view():
    azimuths = torch.tensor([0.0, 90.0, 0.9, 90.0])
    directions = view_directions(azimuths, torch.zeros(4))
    objects, features = torch.tensor([0, 0, 1, 1]), on_circle([0, 10, 20, 30])
    assert len(view_pairs(features, objects, directions, 1.0).far) == 2
    assert len(view_pairs(features, objects, directions, 0.5).far) == 1


def test_an_object_seen_once_is_not_asked_for_its_other_view():
    directions = view_directions(torch.tensor([0.0, 90.0, 0.0]), torch.zeros(3))
    pairs = view_pairs(on_circle([0, 10, 90]), torch.tensor([0, 0, 1]), directions)
    # of the first two, one has a rival from another view, and one has none
    assert pairs.nearest_same == 1.0 and pairs.nearest_chance == pytest.approx((1 + 0.5) / 2)


@pytest.mark.parametrize(
    ("objects", "azimuths", "message"),
    [
        ([0, 1, 2], [0.0, 0.0, 0.0], "no object is seen from two views more than 1 degrees apart"),
        ([0, 0, 1], [0.0, 90.0, 45.0], "no two objects are seen from one view .*--same_view_deg"),
        ([0, 0, 0], [0.0, 90.0, 45.0], "no two objects are seen from one view"),
    ],
)
def test_nothing_to_compare(objects, azimuths, message):
    directions = view_directions(torch.tensor(azimuths), torch.zeros(3))
    with pytest.raises(UsageError, match=message) as caught:
        view_pairs(on_circle([0, 10, 20]), torch.tensor(objects), directions)
    assert "\n" not in str(caught.value)


def test_embeddings_that_are_no_numbers_and_too_many_pictures():
    objects, _, directions = world(2, [0.0, 90.0])
    with pytest.raises(UsageError, match="no numbers"):
        view_pairs(torch.full((4, 2), float("nan")), objects, directions)
    many = MAX_PICTURES + 1
    with pytest.raises(UsageError, match="fewer objects or views"):
        view_pairs(torch.zeros(many, 1), torch.zeros(many).long(), torch.zeros(many, 3).double())


def test_the_tables_say_every_figure():
    found = view_consistency(random_world())
    text = "\n".join(found.lines())
    low, high = found.closer_interval
    assert f"closer: {found.closer:.3f} ({low:.3f} to {high:.3f}" in text
    assert f"nearest: {found.nearest_same:.3f}" in text
    for each in found.by_angle:
        assert f"{each.from_deg} to {each.to_deg} degrees" in text
        assert f"{each.spread.mean:.3g}" in text
    for name, spread in (("one object", found.same_object), ("two objects", found.same_view)):
        (line,) = [line for line in text.split("\n") if line.startswith(name)]
        assert line.split()[4:] == [
            str(spread.pairs),
            *(f"{x:.3g}" for x in (spread.mean, *spread.quantiles)),
        ]
