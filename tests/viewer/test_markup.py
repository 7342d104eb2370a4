"""What a visitor wrote is text, whatever it says."""

import numpy as np

from clipnerf.viewer import markup

EVIL = "<script>alert(1)</script>\" onmouseover='x' &amp;"


def test_words_are_escaped_and_short():
    shown = markup.text(EVIL)
    assert "<" not in shown and '"' not in shown and "'" not in shown
    assert len(markup.text("red " * 2500)) <= markup.LONGEST_SHOWN


def test_buttons_hold_what_they_tell():
    made = markup.button(f"part {EVIL}", markup.text(EVIL), title=EVIL)
    assert "<script" not in made and made.count("<button") == 1
    assert markup.told(f"{markup.SIGN}part the left leg 1732") == ("part", "the left leg")
    assert markup.told(f"{markup.SIGN}undo 1732") == ("undo", "")


def test_pictures_lie_in_the_page_itself():
    made = markup.thumbs([("seed 1", np.zeros((4, 4, 3), np.uint8), "1", True)])
    assert 'src="data:image/' in made and "http" not in made
