"""Where the page is served, and what a bundle lacks."""

import socket

import pytest

from clipnerf.config.parse import parse
from clipnerf.config.view import ViewConfig
from clipnerf.editor import Editor
from clipnerf.errors import UsageError
from clipnerf.viewer import server
from clipnerf.viewer.lacks import lacks
from tests.tiny_bundle import tiny_generator


def test_a_port_in_use_is_said_and_another_is_found():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 .*--port"):
            server.free_port("127.0.0.1", port)
    assert server.free_port("127.0.0.1") >= server.FIRST_PORT


def test_no_address_is_said():
    with pytest.raises(UsageError, match="address is 'nowhere.invalid'"):
        server.free_port("nowhere.invalid")


def test_the_page_is_for_this_machine_alone_unless_another_address_is_named():
    assert ViewConfig().address == "127.0.0.1"
    assert parse(["view", "x", "--address", "0.0.0.0"]).config.address == "0.0.0.0"


@pytest.mark.parametrize(
    "words",
    [
        ["--port", "99999"],
        ["--size", "8"],
        ["--coarse", "500"],
        ["--device", "tpu"],
        ["--address", " "],
    ],
)
def test_values_out_of_range_are_refused(words):
    with pytest.raises(UsageError, match=f"{words[0][2:]} is "):
        parse(["view", "x", *words])


def test_without_viser_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'clipnerf\[viewer\]'"):
        server.check_viser()


def test_what_a_bundle_lacks_is_gray_with_its_reason(editor):
    bare = lacks(Editor(tiny_generator()))
    assert "CLIP" in bare["prompt"] and "CLIP" in bare["exemplar"] and "CLIP" in bare["shape"]
    assert "region field" in bare["parts"] and "photo" not in bare
    assert "mapper" in lacks(Editor(tiny_generator(), editor.clip))["prompt"]
    entangled = lacks(Editor(tiny_generator(conditioning="entangled")))
    assert "entangled" in entangled["parts"] and "entangled" in entangled["photo"]
    assert lacks(editor) == {}


def test_what_this_machine_lacks_is_gray_with_its_reason(editor, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = lacks(editor)
    assert set(found) == {"mesh", "video"}
    assert "scikit-image" in found["mesh"] and "ffmpeg" in found["video"]


def _upgraded(viewer, origin, host) -> int:
    """What a WebSocket of that origin is answered."""
    from http.client import HTTPConnection

    connection = HTTPConnection(viewer.address, viewer.port, timeout=20)
    connection.putrequest("GET", "/", skip_host=True)
    for name, value in {
        "Host": host,
        "Origin": origin,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_viewer_serves_and_ends(editor, bundle):
    pytest.importorskip("viser", reason="needs viser; pip install 'clipnerf[viewer]'")
    from urllib.request import urlopen

    with server.Viewer(editor, str(bundle), folder=bundle) as viewer:
        assert viewer.url == f"http://127.0.0.1:{viewer.port}" and not viewer.is_open
        with urlopen(viewer.url) as page:
            assert page.status == 200
        with pytest.raises(UsageError, match=str(viewer.port)):
            server.Viewer(editor, port=viewer.port)
        assert viewer._server.request_share_url() is None
        # as a browser would on behalf of the page, of another page, and of a name that leads here
        own = viewer.url.removeprefix("http://")
        assert _upgraded(viewer, viewer.url, own) == 101
        assert _upgraded(viewer, "https://example.com", own) == 403
        assert _upgraded(viewer, "http://example.com", "example.com") == 403
    with pytest.raises(OSError):
        urlopen(viewer.url)
    assert not viewer.renderer._thread.is_alive()


def test_browsers_can_connect_while_the_bundle_is_loaded(editor, bundle):
    pytest.importorskip("viser", reason="needs viser; pip install 'clipnerf[viewer]'")
    from urllib.request import urlopen

    seen = []

    def load():
        with urlopen(seen[0].url) as page:
            seen.append(page.status)
        return editor

    with server.Viewer(load, str(bundle), folder=bundle, ready=seen.append) as viewer:
        assert seen == [viewer, 200] and viewer.editor is editor

    def fail():
        raise UsageError("no such bundle")

    with pytest.raises(UsageError, match="no such bundle"):
        server.Viewer(fail, ready=seen.append)
    with pytest.raises(OSError):
        urlopen(seen[-1].url)
