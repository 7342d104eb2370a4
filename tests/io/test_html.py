"""Templates: text is escaped, pictures are inside and as fine as the size allows."""

import base64
import io
import re

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from clipnerf.errors import ClipNerfError
from clipnerf.io.html import ENCODERS, Encoder, render

FLAT = np.full((32, 48, 3), 200, np.uint8)
NOISE = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)


def decoded(uri: str) -> np.ndarray:
    kind, content = re.fullmatch(r"data:image/(\w+);base64,(.+)", uri).groups()
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert picture.format.lower() == kind
        return np.asarray(picture.convert("RGB"))


def test_pictures_come_back():
    assert np.abs(decoded(Encoder(90).uri(FLAT)).astype(int) - FLAT).max() <= 3
    assert decoded(Encoder(50, 0.5).uri(NOISE)).shape == (32, 32, 3)
    fine, coarse = (len(Encoder(quality).uri(NOISE)) for quality in (88, 25))
    assert coarse < 0.7 * fine
    sizes = [len(encoder.uri(NOISE)) for encoder in ENCODERS]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 10


@pytest.fixture
def template(tmp_path):
    def write(text: str, **others: str):
        for name, content in others.items():
            (tmp_path / name).write_text(content)
        path = tmp_path / "page.html"
        path.write_text(text)
        return path

    return write


def test_words_are_escaped_and_what_the_template_includes_is_not(template):
    evil = '<script>alert("1")</script>&'
    page = template('<a title="{{ word }}">{{ word }}</a>{% include "css" %}', css="a>b{}")
    made = render(page, word=evil)
    assert "<script" not in made and 'title="&lt;script&gt;alert(&#34;1&#34;)' in made
    assert made.endswith("</a>a>b{}")


def test_a_name_that_is_not_given_is_an_error(template):
    with pytest.raises(UndefinedError, match="word"):
        render(template("{{ word }}"))


def test_a_page_shrinks_until_it_fits(template):
    page = template('{% for each in pictures %}<img src="{{ data_uri(each) }}">{% endfor %}')
    pictures = [NOISE] * 10
    sizes = [10 * len(f'<img src="{encoder.uri(NOISE)}">') for encoder in ENCODERS]
    for size in sizes:
        assert len(render(page, size, pictures=pictures)) == size
    with pytest.raises(ClipNerfError, match="bytes with the coarsest pictures; allowed: 500"):
        render(page, 500, pictures=pictures)
