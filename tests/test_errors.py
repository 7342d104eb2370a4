"""Errors and warnings are lines, whatever they are made of."""

import pytest

from clipnerf.errors import ClipNerfError, UsageError, warn

HOSTILE = ["two\nlines", "\x1b[31mred", "\u202egnp.a", "a\0b", "\u2028", "x" * 100_000, "\ud800"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", [ClipNerfError, UsageError])
def test_an_error_is_a_line_that_can_be_printed(kind, name):
    said = str(kind(f"begins {name} ends"))
    assert said.isprintable() and len(said) <= 1001
    assert said.startswith("begins ") and said.endswith(" ends")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_warning_is_one_too(name):
    with pytest.warns(UserWarning) as caught:
        warn(f"begins {name} ends")
    assert str(caught[0].message).isprintable() and len(str(caught[0].message)) <= 1001


def test_an_ordinary_error_is_as_it_was_written():
    assert str(UsageError("size is 'ü'; allowed: 8  to 2048")) == "size is 'ü'; allowed: 8  to 2048"
    assert str(ClipNerfError()) == ""
