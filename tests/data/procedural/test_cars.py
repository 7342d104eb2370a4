"""Cars: what their attributes say is true of the geometry, and edits touch one attribute."""

import numpy as np
import pytest

from clipnerf.data.procedural import cars
from clipnerf.data.procedural.car_kinds import KINDS
from clipnerf.data.procedural.parts import bounds
from clipnerf.data.procedural.render import render
from clipnerf.errors import UsageError

DRAWN = [cars.sample(np.random.RandomState([0, index])) for index in range(400)]


def of_kind(*names: str):
    found = [car for car in DRAWN if car.attributes["body"] in names]
    assert len(found) > 20 * len(names)
    return found


def size(car, *names: str):
    """Length, width and height of the named parts (of all, if none is named)."""
    low, high = bounds(tuple(p for p in car.parts if not names or p.name in names))
    return high - low


def tyres(car):
    """The cylinders of the wheels that are as wide as tyres."""
    found = [p for p in car.parts if p.name == "wheels" and p.primitive == "cylinder"]
    return [p for p in found if np.linalg.norm(p.linear[:, 2]) > 0.05]


def described(car, *without: str):
    return [
        (
            p.name,
            p.color,
            p.linear.tobytes(),
            p.offset.tobytes(),
            None if p.mesh is None else p.mesh.tobytes(),
        )
        for p in car.parts
        if p.name not in without
    ]


def variants(key: str, count: int = 40):
    """(car, value of key -> the same car with that value), for the values that it can have."""
    for car in DRAWN[:count]:
        values = [v for v in cars.EDITS[key] if can_be(car, key, v)]
        if len(values) > 1:
            yield car, {value: cars.edit(car, key, value) for value in values}


def can_be(car, key, value):
    return value == car.attributes[key] or value in cars.possible_edits(car).get(key, [])


def test_the_same_seed_gives_the_same_car_and_another_index_another():
    again = cars.sample(np.random.RandomState([0, 3]))
    assert described(again) == described(DRAWN[3])
    assert DRAWN[3].jitter != DRAWN[4].jitter


def test_the_number_of_draws_is_fixed():
    following = set()
    for car in range(30):
        rng, plain = np.random.RandomState(car), np.random.RandomState(car)
        cars.sample(rng)
        plain.random_sample(len(DRAWN[0].jitter) + len(cars.EDITS))
        plain.choice(10, size=2)
        following.add(rng.random_sample() == plain.random_sample())
    assert following == {True}


def test_cars_stay_in_their_box_and_stand_on_their_wheels():
    for car in DRAWN:
        low, high = bounds(car.parts)
        assert (np.maximum(-low, high) <= [0.92, 0.44, 0.45]).all(), car.attributes
        assert (np.abs(low + high) < [0.08, 1e-6, 0.06]).all(), car.attributes
        assert high[0] - low[0] > 0.9
        for tyre in tyres(car)[:4]:
            across = np.abs(tyre.linear).sum(axis=1)
            assert across[0] == pytest.approx(across[2])  # round
            assert tyre.offset[2] - across[2] / 2 == pytest.approx(low[2])
        others, _ = bounds(tuple(p for p in car.parts if p.name not in ("wheels", "trim")))
        assert others[2] > low[2] + 0.02


def test_every_named_value_occurs_with_a_fair_share():
    for key, values in cars.EDITS.items():
        for value in values:
            share = np.mean([car.attributes[key] == value for car in DRAWN])
            assert share > 0.2 / len(values), (key, value, share)


def test_long_cars_are_longer_and_high_ones_higher_whatever_their_kind():
    for key, axis, order in (
        ("length", 0, ("short", "medium", "long")),
        ("height", 2, ("low", "medium", "high")),
    ):
        for car, values in variants(key):
            sizes = [size(values[v], "body")[axis] for v in order if v in values]
            assert (np.diff(sizes) > 0.05).all(), (car.attributes, sizes)
        by_value = {
            value: [
                size(car, "body", "trim", "lights")[0] if axis == 0 else size(car, "body")[2]
                for car in DRAWN
                if car.attributes[key] == value
            ]
            for value in order
        }
        assert max(by_value[order[0]]) < min(by_value[order[2]])


def test_a_mini_car_is_the_shortest():
    longest = max(size(car)[0] for car in of_kind("mini car"))
    rest = [size(car)[0] for car in DRAWN if car.attributes["body"] != "mini car"]
    assert longest < min(rest)


def test_an_suv_and_a_jeep_sit_higher_than_a_sports_car():
    def floor(car):
        body = tuple(p for p in car.parts if p.name == "body")
        return bounds(body)[0][2] - bounds(car.parts)[0][2]

    low, tall = of_kind("sports car"), of_kind("SUV", "jeep")
    assert max(map(floor, low)) < min(map(floor, tall))
    assert max(size(car)[2] for car in low) < min(size(car)[2] for car in tall)
    means = [np.mean([floor(car) for car in of_kind(kind)]) for kind in ("jeep", "SUV", "van")]
    assert means[0] > means[1] > means[2]


def test_a_sports_car_is_a_wedge_and_a_van_a_box():
    def share_of_roof(car):
        """Length of the roof by the length of the car."""
        top = bounds(tuple(p for p in car.parts if p.name == "body"))[1][2]
        points = [
            p.mesh.reshape(-1, 3) * p.linear[0, 0] + p.offset
            for p in car.parts
            if p.name == "body" and p.mesh is not None
        ]
        high = np.concatenate(points)
        roof = high[high[:, 2] > top - 0.01]
        return np.ptp(roof[:, 0]) / size(car)[0]

    assert max(map(share_of_roof, of_kind("sports car"))) < 0.2
    assert min(map(share_of_roof, of_kind("van"))) > 0.55


def test_wheels_are_as_large_as_they_are_called():
    radius = {
        value: [
            np.abs(tyres(car)[0].linear[2]).max() / 2
            for car in DRAWN
            if car.attributes["wheels"] == value
        ]
        for value in cars.EDITS["wheels"]
    }
    assert max(radius["small"]) < min(radius["large"])


def test_only_a_jeep_carries_a_spare_wheel_behind():
    for kind in KINDS:
        for car in of_kind(kind):
            behind = [t for t in tyres(car) if t.offset[0] < bounds(car.parts)[0][0] + 0.07]
            assert (len(tyres(car)), len(behind)) == ((5, 1) if kind == "jeep" else (4, 0))


def test_a_pickup_is_open_at_the_back():
    for kind in KINDS:
        for car in of_kind(kind)[:10]:
            bare = cars.edit(car, "roof_rack", "no")
            # Seen from behind and above, in the middle: the floor of the bed, or a roof.
            middle = render(bare.parts, 180.0, 50.0, 64, cars.PARTS).mask[:, 28:36]
            dark = (middle == cars.PARTS.index("trim") + 1).sum() / (middle > 0).sum()
            assert (dark > 0.2) == (kind == "pickup"), (kind, dark)


def test_windows_look_to_all_four_sides():
    for car in DRAWN[:100]:
        facing = set()
        for part in car.parts:
            if part.name == "windows":
                a, b, c = part.mesh[0]
                normal, middle = np.cross(b - a, c - a), part.mesh.mean(axis=(0, 1))
                axis = int(np.argmax(np.abs(normal[:2])))
                facing.add((axis, float(np.sign(normal[axis]))))
                if axis == 1:
                    assert normal[1] * middle[1] > 0
                assert normal[2] > 0
        assert facing == {(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)}


def test_white_lights_in_front_and_red_ones_behind():
    for car in DRAWN[:100]:
        lights = [part for part in car.parts if part.name == "lights"]
        assert len(lights) == 4
        for light in lights:
            red = light.color[1] < 0.1
            assert red == (light.offset[0] < 0)
            assert abs(light.offset[1]) > 0.1


def test_every_part_can_be_seen_and_masked():
    for kind in KINDS:
        mask = render(of_kind(kind)[0].parts, 35.0, 15.0, 64, cars.PARTS).mask
        assert set(np.unique(mask)) == set(range(len(cars.PARTS) + 1)), kind


@pytest.mark.parametrize(
    "key, part",
    [
        ("color", "body"),
        ("wheel_color", "wheels"),
        ("windows", "windows"),
        ("roof_rack", "trim"),
        ("spoiler", "body"),
    ],
)
def test_an_edit_changes_its_part_and_no_other(key, part):
    tested = 0
    for before, values in variants(key, 30 if key in ("roof_rack", "spoiler") else 6):
        for value, after in values.items():
            if value == before.attributes[key]:
                assert described(after) == described(before)
                continue
            tested += 1
            changed = {k for k in after.attributes if after.attributes[k] != before.attributes[k]}
            assert changed == {key}
            assert described(after) != described(before)
            assert described(after, part) == described(before, part)
            if key in ("color", "wheel_color", "windows"):
                uncolored = [
                    [each[:1] + each[2:] for each in described(car)] for car in (before, after)
                ]
                assert uncolored[0] == uncolored[1]
    assert tested > 5


def test_other_wheels_leave_windows_and_lights_where_they_are():
    for _, values in variants("wheels"):
        small, large = values["small"], values["large"]
        others = ("wheels", "body", "trim")
        assert described(small, *others) == described(large, *others)
        assert size(small, "body").tolist() == size(large, "body").tolist()


def test_an_edit_and_its_reverse_give_the_same_car():
    for before in DRAWN[:20]:
        for key, values in cars.possible_edits(before).items():
            there = cars.edit(before, key, values[0])
            back = cars.edit(there, key, before.attributes[key])
            assert described(back) == described(before)


def test_possible_edits_change_something_that_can_be_said():
    offered = {
        (key, value)
        for car in DRAWN
        for key, values in cars.possible_edits(car).items()
        for value in values
    }
    for car in DRAWN[:8]:
        for key, values in cars.possible_edits(car).items():
            for value in values:
                after = cars.edit(car, key, value)
                assert after.attributes == {**car.attributes, key: value}
                assert after.attributes != car.attributes
                said = cars.caption(after.attributes, np.random.RandomState(0), about=[key])
                assert said.startswith(("a ", "an "))
    unsayable = {("length", "medium"), ("height", "medium")}
    assert offered == {(k, v) for k, values in cars.EDITS.items() for v in values} - unsayable


def test_unknown_names_and_cars_that_do_not_exist():
    with pytest.raises(UsageError, match="no attribute 'armrests'; choose one of body, length"):
        cars.edit(DRAWN[0], "armrests", "yes")
    with pytest.raises(UsageError, match="'huge' is no wheels of a car; choose one of small"):
        cars.edit(DRAWN[0], "wheels", "huge")
    with pytest.raises(UsageError, match="height cannot be 'high' for this sports car;.* low$"):
        cars.edit(of_kind("sports car")[0], "height", "high")
