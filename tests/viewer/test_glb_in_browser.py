"""A .glb in the browser, as three.js reads and draws it: viser's page brings that along.

Its loader for glTF is the one that model viewers on the web are built on. What it shows is compared
with the field's own picture from the same side.
"""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from clipnerf.editor import Editor
from clipnerf.io.sheet import to_uint8

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
if BROWSER is None:
    pytest.skip(f"needs a browser; none of {', '.join(BROWSERS)} is here", allow_module_level=True)
viser = pytest.importorskip("viser", reason="needs viser; pip install 'clipnerf[viewer]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytest.importorskip("skimage", reason="needs scikit-image; pip install 'clipnerf[mesh]'")

BUNDLE = Path(__file__).resolve().parents[2] / "data" / "pretrained" / "chairs"
SIZE, SECONDS = 160, 120
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
UPRIGHT = (0.5, 0.5, 0.5, 0.5)
"""Turns glTF's axes (+Y up, front +Z, left +X) to +Z up, front +X, left +Y."""


@pytest.fixture
def client():
    """A browser that shows an empty scene, lit from everywhere alike."""
    server = viser.ViserServer("127.0.0.1", 0, verbose=False)
    server.scene.configure_default_lights(False)
    server.scene.configure_environment_map(hdri=None)
    server.scene.add_light_ambient("/light", intensity=np.pi)
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
            tab = browser.new_page(viewport={"width": 900, "height": 600})
            tab.goto(f"http://127.0.0.1:{server.get_port()}")
            until = time.monotonic() + SECONDS
            while not server.get_clients():
                assert time.monotonic() < until, "the browser did not connect"
                tab.wait_for_timeout(50)
            yield next(iter(server.get_clients().values()))
            browser.close()
    finally:
        server.stop()


def photograph(client, camera) -> np.ndarray:
    """RGB and coverage, 0 to 1, of what the browser draws."""
    c2w = camera.c2w[0].numpy()
    turn = viser.transforms.SO3.from_matrix(c2w[:3, :3]).wxyz
    fov = 2 * np.arctan(SIZE / (2 * float(camera.K[0, 1, 1])))
    until = time.monotonic() + SECONDS
    while True:
        seen = client.get_render(
            SIZE, SIZE, wxyz=turn, position=c2w[:3, 3], fov=fov, transport_format="png"
        )
        if seen[..., 3].any():
            return seen / 255
        assert time.monotonic() < until, "the browser shows nothing"
        time.sleep(0.2)


@pytest.mark.parametrize("texture", [0, 512])
def test_a_browser_shows_the_object(client, tmp_path, texture):
    editor = Editor.load(BUNDLE, "cpu")
    codes = editor.edit(editor.sample([1]), "a red chair")
    (mesh,) = editor.mesh(codes, 48 if texture else 96, texture=texture)
    file = mesh.save(tmp_path / "chair.glb")
    client.scene.add_glb("/chair", file.read_bytes(), wxyz=UPRIGHT)
    camera = editor.generator.camera(35.0, 20.0, SIZE)
    # the mesh's front is at +x, wherever the field's is
    plain = type(camera).orbit(35.0, 20.0, size=SIZE)
    seen = photograph(client, plain)
    view = editor.render(codes, camera=camera)
    wanted, inside = to_uint8(view.rgb)[0] / 255, view.opacity[0, 0].numpy() > 0.5
    covered = seen[..., 3] > 0.5
    assert (covered & inside).sum() / (covered | inside).sum() > 0.93
    # what light passes through is paler in the field's picture, and opaque in the mesh's
    solid = covered & (view.opacity[0, 0].numpy() > 0.95)
    assert solid.sum() > 0.5 * inside.sum()
    assert np.abs(seen[solid, :3] - wanted[solid]).mean() < 0.06
    assert seen[solid, 0].mean() > 2 * seen[solid, 2].mean()  # it is red
