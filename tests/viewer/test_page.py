"""The page, in a real browser: clicks, drags, typing, and pictures compared by what they show."""

import functools
import gc
import io
import shutil
import time
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from clipnerf.commands.orbit import orbit
from clipnerf.config.editing import OrbitConfig
from clipnerf.config.inversion import InversionConfig
from clipnerf.editor import Editor
from clipnerf.inversion.result import load_codes
from clipnerf.io.sheet import to_uint8
from clipnerf.training.progress import Progress
from clipnerf.viewer import path
from clipnerf.viewer.hearing import listening
from clipnerf.viewer.state import BLEND_STEPS, State

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
if BROWSER is None:
    pytest.skip(f"needs a browser; none of {', '.join(BROWSERS)} is here", allow_module_level=True)
pytest.importorskip("viser", reason="needs viser; pip install 'clipnerf[viewer]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

SECONDS = 120
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def viewer(editor, bundle):
    from clipnerf.viewer.server import Viewer

    with Viewer(editor, str(bundle), folder=bundle, size=96, coarse=48) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _heard(viewer):
    """As the viewer listens: pytest puts its own ears in the place of others before each test."""
    with listening():
        yield


class Visitor:
    """A tab of the browser, and the page that serves it."""

    def __init__(self, browser, viewer):
        before = set(viewer.pages)
        self.tab = browser.new_page(viewport={"width": 1000, "height": 600}, accept_downloads=True)
        self.tab.set_default_timeout(1000 * SECONDS)
        self.asked = asked = []
        self.tab.on("request", lambda request: asked.append(request.url))
        self.tab.goto(viewer.url)
        wait(lambda: set(viewer.pages) - before)
        self.page = viewer.pages[next(iter(set(viewer.pages) - before))]
        self.tab.get_by_text("Prompt").wait_for()
        # a notice that drawing is done without a GPU lies over the picture
        self.tab.add_style_tag(content=".mantine-Notifications-root {display: none}")

    @property
    def state(self) -> State:
        return self.page.session.state

    def open(self, name):
        self.tab.get_by_role("tab", name=name).click()

    def act(self, act):
        self.tab.locator(f'button[data-act="{act}"]').click()

    def type(self, text, form=0):
        line = self.tab.locator("form input").nth(form)
        line.fill(text)
        line.press("Enter")

    def seen(self) -> np.ndarray:
        """What the canvas shows."""
        canvas = self.tab.locator("canvas").first
        return np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"), dtype=float)

    def shows(self, scene) -> bool:
        """Whether the canvas shows a scene, as nearly as its size and JPEG allow."""
        seen = self.seen()
        height, width = 48, round(48 * seen.shape[1] / seen.shape[0])
        small = np.asarray(
            Image.fromarray(seen.astype(np.uint8)).resize((width, height)), dtype=float
        )
        wanted = np.asarray(Image.fromarray(self.picture(scene)).resize((width, height)))
        return float(np.abs(small - wanted).mean()) < 6

    def picture(self, scene) -> np.ndarray:
        made = self.page.eye.picture(scene, 96, self.page.editor.generator.config.render_samples)
        return [picture for picture in made if picture is not None][-1]


def wait(ready, seconds=SECONDS, what=""):
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, what or "nothing happened"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def tab(browser, viewer):
    return Visitor(browser, viewer)


@pytest.fixture
def visitor(tab):
    """The tab, as it was at first."""
    page = tab.page
    page.session.become(State())
    page.compare, page.lit = "after", ""
    page.compare_tab._how.value = "after"
    page.changed()
    tab.open("Edit")
    return tab


def waits(visitor, ready):
    """Lets the browser work while it is waited."""
    wait(lambda: visitor.tab.wait_for_timeout(50) or ready())


def test_the_object_is_seen_and_nothing_is_fetched_from_elsewhere(visitor, viewer):
    waits(visitor, lambda: visitor.shows(visitor.page.scene()))
    elsewhere = [url for url in visitor.asked if not url.startswith((viewer.url, "data:", "blob:"))]
    assert not elsewhere
    assert viewer.url.startswith("http://127.0.0.1:")


def test_the_object_turns_under_the_mouse(visitor, monkeypatch):
    heights, show = [], visitor.page._show
    monkeypatch.setattr(
        visitor.page, "_show", lambda p: (heights.append(p.shape[0]), show(p)) and None
    )
    before = visitor.page.angles_deg
    mouse = visitor.tab.mouse
    mouse.move(300, 300)
    mouse.down()
    for step in range(10):
        mouse.move(300 + 12 * step, 300 + 3 * step)
    mouse.up()
    waits(visitor, lambda: abs(visitor.page.angles_deg[0] - before[0]) > 5)
    waits(visitor, lambda: 96 in heights)
    assert heights[0] == 48
    waits(visitor, lambda: visitor.shows(visitor.page.scene()))


def test_a_prompt_is_typed_and_markup_is_text(visitor):
    visitor.type("a red <img src=x onerror=alert(1)> chair")
    waits(visitor, lambda: len(visitor.state.edits) == 1)
    row = visitor.tab.locator('button[data-act="choose 0"]')
    row.wait_for()
    assert row.inner_text() == "a red <img src=x onerror=alert(1)> chair"
    assert visitor.tab.locator('img[src="x"]').count() == 0
    waits(visitor, lambda: "has never seen" in visitor.page.edit_tab._said.content)
    waits(visitor, lambda: visitor.shows(visitor.page.scene()))


def test_ten_thousand_letters_are_shown_in_short(visitor):
    visitor.type("red " * 2500)
    waits(visitor, lambda: len(visitor.state.edits) == 1)
    row = visitor.tab.locator('button[data-act="choose 0"]')
    row.wait_for()
    assert len(row.inner_text()) < 200


def test_dials_act(visitor):
    visitor.type("a red chair")
    waits(visitor, lambda: len(visitor.state.edits) == 1)
    waits(visitor, lambda: not visitor.page.edit_tab._dials["appearance"].disabled)
    plain = visitor.picture(visitor.page.scene())
    slider = visitor.page.edit_tab._dials["appearance"]._impl.uuid
    track = visitor.tab.locator(f'[id="{slider}"]').bounding_box()
    mouse = visitor.tab.mouse
    mouse.move(track["x"] + 0.75 * track["width"], track["y"] + track["height"] / 2)
    mouse.down()
    mouse.move(track["x"] + 0.1 * track["width"], track["y"] + track["height"] / 2, steps=6)
    mouse.up()
    waits(visitor, lambda: (visitor.state.edits[0].appearance or 0) < -1)
    assert np.abs(visitor.picture(visitor.page.scene()).astype(float) - plain).mean() > 1
    waits(visitor, lambda: visitor.shows(visitor.page.scene()))


def test_a_part_is_clicked_colored_switched_off_and_taken_back(visitor):
    page = visitor.page
    canvas = visitor.tab.locator("canvas").first.bounding_box()
    opacity = (
        page.editor.render(page.session.edited(), camera=page.view.camera(96)).opacity[0, 0].numpy()
    )
    row, column = np.unravel_index(opacity.argmax(), opacity.shape)
    visitor.tab.mouse.click(
        canvas["x"] + (column + 0.5) / opacity.shape[1] * canvas["width"],
        canvas["y"] + (row + 0.5) / 96 * canvas["height"],
    )
    waits(visitor, lambda: page.lit)
    assert page.lit == page.viewer.named[0]
    visitor.act(f"part {page.viewer.named[1]}")
    waits(visitor, lambda: page.lit == page.viewer.named[1])
    waits(visitor, lambda: visitor.shows(page.scene()))
    visitor.act("color blue")
    waits(visitor, lambda: visitor.state.edits)
    assert (visitor.state.edits[0].part, visitor.state.edits[0].text) == (
        page.viewer.named[1],
        "blue",
    )
    visitor.act("toggle 0")
    waits(visitor, lambda: not visitor.state.edits[0].on)
    visitor.act("undo")
    waits(visitor, lambda: visitor.state.edits[0].on)
    visitor.act("undo")
    waits(visitor, lambda: not visitor.state.edits)
    visitor.act("redo")
    waits(visitor, lambda: visitor.state.edits)
    visitor.act("remove 0")
    waits(visitor, lambda: not visitor.state.edits)


def test_seeds_the_strip_and_blends(visitor):
    visitor.open("Object")
    visitor.act("step 1")
    waits(visitor, lambda: visitor.state.source.seed == 1)
    visitor.act("step -1")
    waits(visitor, lambda: visitor.state.source.seed == 0)
    waits(visitor, lambda: visitor.tab.locator(".thumbs img").count() == 8)
    visitor.act("seed 5")
    waits(visitor, lambda: visitor.state.source.seed == 5)
    visitor.act("step 8")
    waits(visitor, lambda: visitor.state.source.seed == 13)
    visitor.tab.locator('button[data-act="seed 14"]').wait_for()
    track = visitor.tab.locator(".mantine-Slider-track:visible").bounding_box()
    visitor.tab.mouse.click(track["x"] + 0.5 * track["width"], track["y"] + 0.5 * track["height"])
    waits(visitor, lambda: visitor.state.blended)
    assert abs(visitor.state.steps - BLEND_STEPS / 2) <= 2
    waits(visitor, lambda: visitor.shows(visitor.page.scene()))


@pytest.fixture
def photo(editor, tmp_path):
    path = tmp_path / "mine.png"
    Image.fromarray(to_uint8(editor.render(editor.sample([3]), 30, 20, 64).rgb)[0]).save(path)
    return path


@pytest.fixture
def inversion(editor, monkeypatch):
    """An inversion that takes a moment, and tells how far it is."""
    seen = []

    def invert(path):
        with Progress(20) as progress:
            for _ in range(20):
                time.sleep(0.05)
                progress.update()
        seen.append(path)

        class Found:
            codes, foreground_r2 = editor.sample([3]), torch.tensor([0.97])

        return Found()

    monkeypatch.setattr(editor, "invert", invert)
    return seen


def test_a_photograph_is_dropped_in_and_found_with_progress(visitor, photo, inversion):
    visitor.open("Object")
    progress = []
    bar = visitor.page.object_tab._progress
    data = visitor.tab.evaluate_handle(
        """([name, bytes]) => {const d = new DataTransfer();
        d.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/png'})); return d}""",
        ["mine.png", list(photo.read_bytes())],
    )
    visitor.tab.dispatch_event(".drop", "drop", {"dataTransfer": data})

    def found():
        progress.append((bar.visible, bar.value))
        return visitor.state.source.photo

    waits(visitor, found)
    assert visitor.state.source.photo == "mine.png"
    assert any(shown and 0 < value < 100 for shown, value in progress)
    assert inversion[0].endswith(".png")
    waits(visitor, lambda: visitor.shows(visitor.page.scene()))
    visitor.open("Edit")
    visitor.type("a red chair")
    waits(visitor, lambda: visitor.state.edits)
    assert visitor.state.source.photo == "mine.png"


@pytest.mark.filterwarnings("ignore:.*reconstructed poorly")
def test_a_photograph_is_really_inverted(visitor, photo, editor, monkeypatch):
    """In few steps: what comes out is an object of its own, which is shown and edited."""
    quick = InversionConfig(size=32, starts=1, rough_steps=2, steps=3)
    monkeypatch.setattr(editor, "invert", functools.partial(editor.invert, config=quick))
    visitor.open("Object")
    visitor.tab.locator("input[type=file]").set_input_files(photo)
    waits(visitor, lambda: visitor.state.source.photo)
    found = visitor.state.source.found
    assert found is not None and not torch.equal(found.shape, editor.sample([3]).shape)
    waits(visitor, lambda: "of the picture is shown again" in visitor.page._message.content)
    waits(visitor, lambda: visitor.shows(visitor.page.scene()))
    visitor.open("Edit")
    visitor.type("a red chair")
    waits(visitor, lambda: visitor.state.edits)
    waits(visitor, lambda: visitor.shows(visitor.page.scene()))


def test_what_is_no_picture_is_said_and_changes_nothing(visitor, tmp_path):
    visitor.open("Object")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture at all")
    visitor.tab.locator("input[type=file]").set_input_files(broken)
    waits(visitor, lambda: "warn" in visitor.page._message.content)
    assert visitor.state == State()


def test_before_and_after_side_by_side_and_under_a_slider(visitor):
    visitor.type("a red chair")
    waits(visitor, lambda: visitor.state.edits)
    visitor.page.session.become(visitor.state.dialed("shape", 2.0).dialed("appearance", 2.0))
    visitor.open("Compare")
    for name in ("side by side", "slider", "before"):
        visitor.tab.locator("input.mantine-Select-input:visible").click()
        visitor.tab.get_by_role("option", name=name, exact=True).click()
        waits(visitor, lambda name=name: visitor.page.compare == name)
        waits(visitor, lambda: visitor.shows(visitor.page.scene()))


def test_a_sweep_shows_five_strengths_to_choose_from(visitor):
    visitor.type("a red chair")
    waits(visitor, lambda: visitor.state.edits)
    visitor.open("Compare")
    visitor.act("sweep appearance")
    visitor.act("strength appearance -2")
    waits(visitor, lambda: visitor.state.edits[0].appearance == -2)


def test_pictures_and_codes_are_saved(visitor, editor, tmp_path):
    visitor.open("Object")
    visitor.act("seed 2")
    waits(visitor, lambda: visitor.state.source.seed == 2)
    visitor.open("Save")
    saved = {}
    for what in ("picture", "codes"):
        with visitor.tab.expect_download() as download:
            visitor.act(f"save {what}")
        saved[what] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[what])
        waits(visitor, lambda: visitor.page.save_tab._busy.acquire(blocking=False))
        visitor.page.save_tab._busy.release()
    with Image.open(saved["picture"]) as picture:
        assert picture.height == 512
    codes = load_codes(saved["codes"], editor.generator.hash).codes
    assert torch.equal(codes.shape, editor.sample([2]).shape)
    assert "editor.sample([2])" in visitor.tab.locator("pre").nth(1).inner_text()


def test_a_mesh_is_saved(visitor, editor, monkeypatch, tmp_path):
    pytest.importorskip("skimage", reason="needs scikit-image; pip install 'clipnerf[mesh]'")
    monkeypatch.setattr(editor, "mesh", functools.partial(editor.mesh, resolution=24))
    visitor.type("a red chair")
    waits(visitor, lambda: visitor.state.edits)
    visitor.open("Save")
    with visitor.tab.expect_download() as download:
        visitor.act("save mesh")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    (mesh,) = editor.mesh(visitor.page.session.edited())
    assert saved.suffix == ".glb"
    assert saved.read_bytes() == mesh.save(tmp_path / "same.glb").read_bytes()


def test_a_camera_path_is_kept_played_saved_and_filmed(visitor, editor, monkeypatch, tmp_path):
    page, tab = visitor.page, visitor.page.path_tab
    tab.views.clear()
    tab.refresh()
    visitor.open("Path")
    assert visitor.tab.locator('button[data-act="play"]').is_disabled()
    visitor.act("keep")
    waits(visitor, lambda: len(tab.views) == 1)
    mouse = visitor.tab.mouse
    mouse.move(300, 300)
    mouse.down()
    mouse.move(180, 280, steps=6)
    mouse.up()
    before = tab.views[0].c2w
    waits(visitor, lambda: (page.view.c2w - before).abs().max() > 0.3)
    visitor.act("keep")
    waits(visitor, lambda: len(tab.views) == 2)
    seen = []
    ask = page.ask
    monkeypatch.setattr(page, "ask", lambda: (seen.append(page.played), ask()) and None)
    visitor.act("play")
    waits(visitor, lambda: seen and seen[-1] is None and not tab._playing.locked())
    assert len({id(view) for view in seen if view}) >= 4  # it moved
    waits(visitor, lambda: visitor.shows(page.scene()))
    with visitor.tab.expect_download() as download:
        visitor.act("path")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    filmed = []

    def film(*args, camera, **options):
        filmed.append(camera)
        return tmp_path / "a.mp4"

    monkeypatch.setattr(Editor, "orbit", film)
    orbit(OrbitConfig(page.viewer.bundle, camera_path=str(file), out=str(tmp_path / "a.mp4")))
    wanted = path.cameras(path.along(tab.views), path.HEIGHT)
    assert len(filmed[0]) == path.STEP_FRAMES + 1 and filmed[0].height == path.HEIGHT
    torch.testing.assert_close(filmed[0].c2w, wanted.c2w, atol=1e-5, rtol=0)
    torch.testing.assert_close(filmed[0].K, wanted.K, atol=0.01, rtol=0)
    visitor.act("forget")
    waits(visitor, lambda: len(tab.views) == 1)


def test_a_path_can_be_stopped(visitor):
    page, tab = visitor.page, visitor.page.path_tab
    tab.views[:] = [page.view] * 50  # a hundred seconds
    tab.refresh()
    visitor.open("Path")
    visitor.act("play")
    waits(visitor, lambda: page.played is not None)
    visitor.act("rest")
    waits(visitor, lambda: page.played is None and not tab._playing.locked())
    tab.views.clear()


def test_a_video_can_be_stopped(visitor, monkeypatch):
    visitor.open("Save")
    begun = []

    def orbit(*args, **kwargs):
        with Progress(1000) as progress:
            while True:
                begun.append(1)
                time.sleep(0.01)
                progress.update()

    monkeypatch.setattr(visitor.page.editor, "orbit", orbit)
    visitor.act("save video")
    waits(visitor, lambda: begun)
    visitor.act("halt")
    waits(visitor, lambda: "stopped" in visitor.page._message.content)


def test_visitors_have_states_of_their_own_and_a_closed_tab_frees_its_memory(
    browser, viewer, visitor
):
    other = Visitor(browser, viewer)
    other.type("a blue chair")
    waits(other, lambda: other.state.edits)
    assert visitor.state == State()
    waits(other, lambda: other.shows(other.page.scene()))
    count, page = len(viewer.pages), other.page
    held = [weakref.ref(codes) for codes in page.session._codes.values()]
    held += [weakref.ref(objects) for _, objects in page.eye._objects.values()]
    assert len(held) >= 3
    other.tab.close()
    wait(lambda: len(viewer.pages) == count - 1)
    wait(lambda: page.closed)
    wait(
        lambda: gc.collect() is not None and not any(ref() is not None for ref in held),
        what="codes or objects are still held",
    )
    visitor.type("a red chair")
    waits(visitor, lambda: visitor.state.edits)
