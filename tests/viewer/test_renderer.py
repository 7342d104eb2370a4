"""The renderer: the newest wish of each visitor, and nobody starves."""

import threading
import time

import pytest

from clipnerf.viewer.renderer import Renderer


@pytest.fixture
def renderer():
    renderer = Renderer(rest=0.02)
    yield renderer
    renderer.stop()


class Board:
    """What was shown, and a way to wait for it."""

    def __init__(self):
        self.shown, self.failed, self.changed = [], [], threading.Condition()

    def show(self, picture):
        with self.changed:
            self.shown.append(picture)
            self.changed.notify_all()

    def fail(self, error):
        with self.changed:
            self.failed.append(error)
            self.changed.notify_all()

    def wait(self, ready, seconds=5.0):
        with self.changed:
            assert self.changed.wait_for(ready, seconds), (self.shown, self.failed)


def passes(name, pieces=3):
    def make():
        yield f"{name} coarse"
        for _ in range(pieces):
            time.sleep(0.005)
            yield None
        yield f"{name} fine"

    return make


def test_coarse_comes_before_fine(renderer):
    board = Board()
    renderer.ask("anna", passes("a"), board.show, board.fail)
    board.wait(lambda: len(board.shown) == 2)
    assert board.shown == ["a coarse", "a fine"]


def test_a_newer_wish_ends_an_older_drawing(renderer):
    board, begun, go_on = Board(), threading.Event(), threading.Event()

    def slow():
        yield "old coarse"
        begun.set()
        go_on.wait(5)
        yield None
        yield "old fine"

    renderer.ask("anna", slow, board.show, board.fail)
    assert begun.wait(5)
    renderer.ask("anna", passes("new"), board.show, board.fail)
    go_on.set()
    board.wait(lambda: "new fine" in board.shown)
    assert board.shown == ["old coarse", "new coarse", "new fine"]
    assert renderer.abandoned == 1


def test_who_never_rests_still_sees_pictures(renderer):
    """Wishes that come faster than a coarse picture is made."""
    board = Board()

    def make():
        for _ in range(5):
            time.sleep(0.004)
            yield None
        yield "coarse"

    for _ in range(60):
        renderer.ask("anna", make, board.show, board.fail)
        time.sleep(0.005)
    assert len(board.shown) >= 5


def test_a_wish_that_was_never_begun_is_never_drawn(renderer):
    board, hold = Board(), threading.Event()

    def holding():
        hold.wait(5)
        yield "x"

    renderer.ask("ben", holding, board.show, board.fail)
    time.sleep(0.05)
    made = []
    for number in range(5):
        renderer.ask("anna", lambda n=number: made.append(n) or iter(["y"]), board.show, board.fail)
    hold.set()
    board.wait(lambda: "y" in board.shown)
    assert made == [4]


def test_another_visitors_coarse_picture_goes_before_ones_fine_one(renderer):
    board, begun, asked = Board(), threading.Event(), threading.Event()

    def slow():
        yield "a coarse"
        begun.set()
        asked.wait(5)
        for _ in range(20):
            yield None
        yield "a fine"

    renderer.ask("anna", slow, board.show, board.fail)
    assert begun.wait(5)
    renderer.ask("ben", lambda: iter(["b coarse"]), board.show, board.fail)
    asked.set()
    board.wait(lambda: "a fine" in board.shown)
    assert board.shown == ["a coarse", "b coarse", "a fine"]


def test_visitors_take_turns(renderer):
    board, started = Board(), threading.Event()

    def long(name):
        def make():
            yield f"{name} coarse"
            started.wait(5)
            for number in range(4):
                yield f"{name} {number}"

        return make

    for name in ("a", "b"):
        renderer.ask(name, long(name), board.show, board.fail)
    time.sleep(0.1)
    started.set()
    board.wait(lambda: len(board.shown) == 10)
    finer = [line for line in board.shown if "coarse" not in line]
    first_half = {line[0] for line in finer[:4]}
    assert first_half == {"a", "b"}


def test_an_error_reaches_its_visitor_and_no_one_else(renderer):
    board, other = Board(), Board()

    def broken():
        yield "coarse"
        raise ValueError("no such part")

    renderer.ask("anna", broken, board.show, board.fail)
    board.wait(lambda: board.failed)
    assert str(board.failed[0]) == "no such part"
    renderer.ask("ben", passes("b"), other.show, other.fail)
    other.wait(lambda: len(other.shown) == 2)
    renderer.ask("anna", passes("again"), board.show, board.fail)
    board.wait(lambda: "again fine" in board.shown)


def test_a_browser_that_goes_away_in_mid_rendering_stops_nothing(renderer):
    board, seen = Board(), []

    def show(picture):
        seen.append(picture)
        raise ConnectionError("gone")

    renderer.ask("anna", passes("a"), show, board.fail)
    renderer.ask("ben", passes("b"), board.show, board.fail)
    board.wait(lambda: len(board.shown) == 2)
    assert seen == ["a coarse"]


def test_nothing_is_drawn_for_who_has_gone(renderer):
    board, begun, go_on = Board(), threading.Event(), threading.Event()

    def slow():
        yield "coarse"
        begun.set()
        go_on.wait(5)
        yield "fine"

    renderer.ask("anna", slow, board.show, board.fail)
    assert begun.wait(5)
    renderer.forget("anna")
    go_on.set()
    time.sleep(0.1)
    assert board.shown == ["coarse"]
    assert not renderer._drawn and not renderer._wished
