"""Pictures of parts: where they fall, what the masks say, light that stays in the world."""

import numpy as np
import pytest

from clipnerf.data.procedural import chairs
from clipnerf.data.procedural.parts import block, spoke
from clipnerf.data.procedural.render import FOV_DEG, RADIUS, render

RED, BLUE = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)


def picture(parts, azimuth=0.0, elevation=0.0, size=64, names=("thing", "other")):
    return render(tuple(parts), float(azimuth), float(elevation), size, names)


def columns(mask, label):
    return np.flatnonzero((mask == label).any(axis=0))


def test_a_box_has_the_size_that_the_pinhole_says():
    drawn = picture([block("box", (0, 0, 0), (0.02, 0.8, 1.2), "thing", RED)], size=256)
    focal = 128 / np.tan(np.radians(FOV_DEG) / 2)
    rows = np.flatnonzero((drawn.mask == 1).any(axis=1))
    assert abs(len(columns(drawn.mask, 1)) - 0.8 * focal / (RADIUS - 0.01)) <= 1
    assert abs(len(rows) - 1.2 * focal / (RADIUS - 0.01)) <= 1
    assert abs(rows.mean() - 127.5) <= 1


def test_the_front_faces_plus_x_and_azimuth_turns_counter_clockwise_seen_from_above():
    marker = [block("box", (0, 0.5, 0.3), (0.2, 0.2, 0.2), "thing", RED)]
    # From the front, +Y is on the right, and +Z is up.
    ahead = picture(marker).mask == 1
    assert columns(ahead, True).min() > 32
    assert np.flatnonzero(ahead.any(axis=1)).max() < 32
    # From +Y it is in the middle; from behind on the left.
    assert abs(columns(picture(marker, 90).mask, 1).mean() - 31.5) < 1
    assert columns(picture(marker, 180).mask, 1).max() < 32


def test_the_nearer_part_hides_the_other():
    near = block("box", (0.5, 0, 0), (0.1, 1, 1), "thing", RED)
    far = block("box", (-0.5, 0, 0), (0.1, 0.5, 0.5), "other", BLUE)
    assert set(np.unique(picture([near, far]).mask)) == {0, 1}
    assert 2 in picture([near, far], azimuth=180).mask


def test_background_is_pure_white_and_edges_are_antialiased():
    drawn = picture([spoke((0, 0, 0), 0.4, 0.8, 0.3, 0.3, "thing", RED)], 30, 20)
    background = drawn.rgb[drawn.mask == 0]
    assert np.mean((background == 255).all(axis=1)) > 0.9
    assert (drawn.rgb[0] == 255).all()
    assert len(np.unique(drawn.rgb[..., 1])) > 6


def test_a_mask_is_the_silhouette_of_the_picture():
    for index in range(5):
        made = chairs.sample(np.random.RandomState(index))
        drawn = picture(made.parts, 50.0 * index, 25.0, names=chairs.PARTS)
        touched = (drawn.rgb < 255).any(axis=2)
        inside = drawn.mask > 0
        assert not (inside & ~touched).any()
        # Pixels touched by less than half are background in the mask; there are few.
        assert (touched & ~inside).sum() < 0.35 * inside.sum()


def test_light_stays_in_the_world():
    top = [block("box", (0, 0, -0.3), (1, 1, 0.05), "thing", RED)]
    colors = [picture(top, azimuth, 50).rgb[36, 32].tolist() for azimuth in (0, 120, 240)]
    assert colors[0] == colors[1] == colors[2]
    side = [block("box", (0, 0, 0), (0.8, 0.8, 0.8), "thing", RED)]
    lit, dark = (picture(side, azimuth).rgb[32, 32, 0] for azimuth in (0, 180))
    assert lit > dark + 20


def test_cylinders_and_cushions_lie_within_their_box():
    whole = picture([block("box", (0, 0, 0), (1, 1, 1), "thing", RED)], 45, 30).mask > 0
    for primitive in ("cylinder", "cushion"):
        inner = picture([block(primitive, (0, 0, 0), (1, 1, 1), "thing", RED)], 45, 30).mask > 0
        assert not (inner & ~whole).any()
        assert 0.6 < inner.sum() / whole.sum() < 1.0


@pytest.mark.parametrize("size", [8, 32, 65])
def test_any_size(size):
    drawn = picture(chairs.sample(np.random.RandomState(0)).parts, 20, 20, size, chairs.PARTS)
    assert drawn.rgb.shape == (size, size, 3)
    assert drawn.mask.shape == (size, size)
    assert (drawn.mask > 0).any()


def test_color_edits_leave_the_mask_and_every_other_part_as_they_are():
    made = chairs.sample(np.random.RandomState(4))
    other = next(c for c in chairs.COLORS if c not in made.attributes.values())
    edited = chairs.edit(made, "back_color", other)
    before, after = (picture(o.parts, 40, 25, names=chairs.PARTS) for o in (made, edited))
    np.testing.assert_array_equal(before.mask, after.mask)
    back = before.mask == chairs.PARTS.index("back") + 1
    near = grown(back)
    changed = (before.rgb != after.rgb).any(axis=2)
    assert changed[back].all()
    assert not changed[~near].any()


def test_armrests_come_and_go_and_leave_the_rest_as_it_is():
    tested = 0
    for index in range(8):
        made = chairs.sample(np.random.RandomState(index))
        with_arms = chairs.edit(made, "armrests", "yes")
        without = chairs.edit(made, "armrests", "no")
        a, b = (picture(o.parts, 75, 30, names=chairs.PARTS) for o in (with_arms, without))
        arms = a.mask == chairs.PARTS.index("armrests") + 1
        assert not (b.mask == chairs.PARTS.index("armrests") + 1).any()
        tested += int(arms.any())
        outside = ~grown(arms)
        difference = np.abs(a.rgb.astype(int) - b.rgb)[outside]
        # A ray along an edge may be given to either face; nothing else may differ.
        assert difference.max() <= 8
        assert (difference > 0).any(axis=1).sum() <= 2
    assert tested == 8


def grown(region):
    """One pixel more on every side: antialiased edges belong to two parts."""
    padded = np.pad(region, 1)
    height, width = region.shape
    return np.any(
        [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0
    )
