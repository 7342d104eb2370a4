"""Who may connect: the page that was served, and programs; not other pages in the browser."""

import pytest

from clipnerf.viewer.origin import allowed


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:9000", "[::1]:8080", "localhost"])
def test_the_page_itself_and_programs_may(host):
    assert allowed(f"http://{host}", host, True) and allowed(None, host, True)
    assert allowed(f"http://{host}", host, False)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "127.0.0.1:8080"),
        ("http://127.0.0.1:8081", "127.0.0.1:8080"),  # another server of this machine
        ("http://localhost:8080", "127.0.0.1:8080"),
        ("null", "127.0.0.1:8080"),
        ("", "127.0.0.1:8080"),
        ("http://[", "127.0.0.1:8080"),
        ("http://example.com:8080", "example.com:8080"),  # a name that leads here
        (None, "example.com:8080"),
        ("http://", ""),
        (None, None),
        ("http://127.0.0.1.example.com", "127.0.0.1.example.com"),
    ],
)
def test_others_may_not(origin, host):
    assert not allowed(origin, host, True)


def test_whoever_opens_the_page_to_others_is_asked_for_by_any_name():
    assert allowed("http://box.lan:8080", "box.lan:8080", False)
    assert not allowed("https://example.com", "box.lan:8080", False)
