"""Configuration of the verbs that edit and film: demo, edit, orbit, morph.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from clipnerf.config.field_types import Device
from clipnerf.config.paths import CHAIRS
from clipnerf.errors import UsageError

LARGEST_STRENGTH = 4.0


def check_strength(key: str, value: float) -> None:
    """UsageError for a strength that is NaN or outside -4 to 4."""
    _check(abs(value) <= LARGEST_STRENGTH, key, value, "-4 to 4; 0 is no edit, 1 as trained")


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")


def _check_text(text: str) -> None:
    _check(bool(text.strip()), "text", text, "what it is to become, e.g. 'a red chair'")


def parts_of(edits: list[str]) -> list[tuple[str, str]]:
    """Pairs of part and text of local edits; UsageError for one that is no such pair."""
    pairs = []
    for edit in edits:
        part, colon, text = (piece.strip() for piece in edit.partition(":"))
        ok = bool(part and colon and text)
        _check(ok, "edit", edit, "a part and what it is to become, e.g. 'the seat: red'")
        pairs.append((part, text))
    return pairs


def _check_region(config: EditConfig | OrbitConfig) -> bool:
    """Whether a region is given; UsageError for more than one, or a value out of range."""
    parts_of(config.edit)
    given = [key for key in ("region", "region_box", "region_mask") if getattr(config, key)]
    if len(given) > 1:
        raise UsageError(
            f"{' and '.join(given)} are all given; allowed: one of --region, --region_box and "
            "--region_mask"
        )
    box = config.region_box
    _check(len(box) in (0, 6), "region_box", box, "six numbers: x0,y0,z0,x1,y1,z1")
    _check(0 < config.threshold < 1, "threshold", config.threshold, "above 0, below 1")
    return bool(given)


def _check_aim(config: EditConfig | OrbitConfig, needed: bool) -> None:
    """UsageError unless one of text, prompts and image is there, or none where none is needed."""
    needed = _check_region(config) or (needed and not config.edit)
    given = [key for key in ("text", "prompts", "image") if getattr(config, key)]
    if len(given) > 1:
        raise UsageError(
            f"{' and '.join(given)} are all given; allowed: one of --text, --prompts and --image"
        )
    for prompt, weight in config.prompts.items():
        _check(bool(prompt.strip()), "prompts", prompt, "words, e.g. {a red chair: 1}")
        check_strength(f"prompts.{prompt}", weight)
    if needed and not given:
        raise UsageError(
            "text is ''; allowed: what it is to become, e.g. --text 'a red chair', or a picture: "
            "--image photo.png"
        )
    if config.text:
        _check_text(config.text)


def _check_common(config: DemoConfig | EditConfig | OrbitConfig | MorphConfig) -> None:
    _check(bool(config.out.strip()), "out", config.out, "the path to write")
    _check(len(config.seeds) >= 1, "seeds", config.seeds, "one or more, e.g. 0,1,2,3")
    for seed in config.seeds:
        _check(0 <= seed < 2**32, "seeds", seed, "0 to 4294967295")
    for key, strength in (("shape", config.shape), ("appearance", config.appearance)):
        if strength is not None:
            check_strength(key, strength)
    _check(8 <= config.size <= 2048, "size", config.size, "8 to 2048 pixels")
    _check(-90 <= config.elevation_deg <= 90, "elevation_deg", config.elevation_deg, "-90 to 90")


@dataclass(frozen=True)
class DemoConfig:
    """Edit objects of the bundle that comes with the project: an orbit video and a sheet."""

    text: str = "a blue chair with a high back"
    """What the objects are to become, in words."""
    out: str = "out/demo"
    """Folder for the video and the contact sheet."""
    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP and mappers."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3])
    """Objects on the sheet, one a seed; the first orbits in the video."""
    shape: float | None = None
    """Strength of the change of shape, -4 to 4; 0 keeps the shape, 1 is as trained. By default a
    universal mapper decides by the words; 1 for the paper's, and for pictures."""
    appearance: float | None = None
    """The same for colours."""
    mapper: Literal["paper", "universal"] | None = None
    """Kind of mapper; by default universal where the bundle has one, else the paper's."""
    frames: int = 48
    """Frames of the video, one turn."""
    size: int = 128
    """Width and height of a view, pixels; the video shows two views side by side."""
    elevation_deg: float = 20.0
    """Height of the camera above the horizon, degrees."""
    fps: int = 24
    """Frames a second."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check_text(self.text)
        _check_common(self)
        _check(1 <= self.frames <= 10_000, "frames", self.frames, "1 to 10000")
        _check(1 <= self.fps <= 120, "fps", self.fps, "1 to 120")


@dataclass(frozen=True)
class EditConfig:
    """Edit objects by words or by a picture; writes a sheet of them before and after."""

    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP and mappers."""
    text: str = ""
    """What the objects are to become, in words, e.g. "a red chair"."""
    prompts: dict[str, float] = field(default_factory=dict)
    """Several texts at once, each with its weight: "{a red chair: 1, a wide chair: 0.5}"."""
    image: str = ""
    """An exemplar in the place of words: a picture of an object, e.g. photo.png."""
    out: str = "out/edit.png"
    """The sheet, a .png file."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3])
    """Objects, one a seed; a seed is the same object on every machine."""
    codes: str = ""
    """Objects found in photos, in the place of seeds: a codes.safetensors of clipnerf invert."""
    edit: list[str] = field(default_factory=list)
    """Local edits, each a part and what it is to become: --edit "the wheels: black" --edit
    "the body: green"; of one part twice the last counts."""
    region: str = ""
    """Change this part alone to --text, --prompts or --image: a phrase, e.g. "the seat"."""
    region_box: list[float] = field(default_factory=list)
    """In the place of a phrase a box in the world: x0,y0,z0,x1,y1,z1 (front +x, left +y, up +z)."""
    region_mask: str = ""
    """In the place of a phrase a picture, white where to change, painted over the view from
    azimuth_deg, elevation_deg."""
    threshold: float = 0.5
    """How sure it has to be that a point belongs to a phrase, above 0, below 1."""
    shape: float | None = None
    """Strength of the change of shape, -4 to 4; 0 keeps the shape, 1 is as trained. By default a
    universal mapper decides by the words; 1 for the paper's, and for pictures."""
    appearance: float | None = None
    """The same for colours."""
    mapper: Literal["paper", "universal"] | None = None
    """Kind of mapper; by default universal where the bundle has one, else the paper's."""
    azimuth_deg: float = 30.0
    """Direction of the camera, degrees; 0 looks at the front, growing counter-clockwise."""
    elevation_deg: float = 20.0
    """Height of the camera above the horizon, degrees."""
    size: int = 128
    """Width and height of a picture, pixels."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check_aim(self, needed=True)
        _check_common(self)
        _check(self.out.lower().endswith(".png"), "out", self.out, "a name that ends in .png")
        _check(abs(self.azimuth_deg) <= 3600, "azimuth_deg", self.azimuth_deg, "-3600 to 3600")


@dataclass(frozen=True)
class OrbitConfig:
    """Film objects, edited by words or a picture or as they are, in one turn of the camera."""

    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP and mappers."""
    text: str = ""
    """What the objects are to become, in words, e.g. "a red chair"; empty: as they are."""
    prompts: dict[str, float] = field(default_factory=dict)
    """Several texts at once, each with its weight: "{a red chair: 1, a wide chair: 0.5}"."""
    image: str = ""
    """An exemplar in the place of words: a picture of an object, e.g. photo.png."""
    out: str = "out/orbit.mp4"
    """The video, an .mp4 file."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """Objects, one a seed; they turn side by side."""
    codes: str = ""
    """Objects found in photos, in the place of seeds: a codes.safetensors of clipnerf invert."""
    edit: list[str] = field(default_factory=list)
    """Local edits, each a part and what it is to become: --edit "the wheels: black" --edit
    "the body: green"; of one part twice the last counts."""
    region: str = ""
    """Change this part alone to --text, --prompts or --image: a phrase, e.g. "the seat"."""
    region_box: list[float] = field(default_factory=list)
    """In the place of a phrase a box in the world: x0,y0,z0,x1,y1,z1 (front +x, left +y, up +z)."""
    region_mask: str = ""
    """In the place of a phrase a picture, white where to change, painted over the view from
    azimuth 30 and elevation_deg, degrees."""
    threshold: float = 0.5
    """How sure it has to be that a point belongs to a phrase, above 0, below 1."""
    shape: float | None = None
    """Strength of the change of shape, -4 to 4; 0 keeps the shape, 1 is as trained. By default a
    universal mapper decides by the words; 1 for the paper's, and for pictures."""
    appearance: float | None = None
    """The same for colours."""
    mapper: Literal["paper", "universal"] | None = None
    """Kind of mapper; by default universal where the bundle has one, else the paper's."""
    frames: int = 48
    """Frames, one turn."""
    size: int = 128
    """Width and height of a view, pixels."""
    elevation_deg: float = 20.0
    """Height of the camera above the horizon, degrees."""
    fps: int = 24
    """Frames a second."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check_aim(self, needed=False)
        _check_common(self)
        _check(self.out.lower().endswith(".mp4"), "out", self.out, "a name that ends in .mp4")
        _check(1 <= self.frames <= 10_000, "frames", self.frames, "1 to 10000")
        _check(1 <= self.fps <= 120, "fps", self.fps, "1 to 120")


@dataclass(frozen=True)
class MorphConfig:
    """Film objects as they become one another, or as edits change them, and back."""

    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP and mappers."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3])
    """Objects, one a seed, that become one another in this order. With texts or an image they
    stand side by side instead, and each passes through its own edits."""
    texts: list[str] = field(default_factory=list)
    """Edits to pass through, in this order, each of the objects as they are at first, e.g.
    "a red chair,a chair with a high back"."""
    image: str = ""
    """An exemplar to pass through, after the texts: a picture of an object, e.g. photo.png."""
    out: str = "out/morph.mp4"
    """The video, an .mp4 file."""
    shape: float | None = None
    """Strength of the change of shape, -4 to 4; 0 keeps the shape, 1 is as trained. By default a
    universal mapper decides by the words; 1 for the paper's, and for pictures."""
    appearance: float | None = None
    """The same for colours."""
    mapper: Literal["paper", "universal"] | None = None
    """Kind of mapper; by default universal where the bundle has one, else the paper's."""
    frames: int = 96
    """Frames in all."""
    loop: bool = True
    """Come back to the start at the end, so that the video can be repeated."""
    turns: float = 1.0
    """How often the camera goes around meanwhile; 0: it stands still."""
    size: int = 128
    """Width and height of a view, pixels."""
    azimuth_deg: float = 30.0
    """Direction of the camera at the start, degrees; 0 looks at the front."""
    elevation_deg: float = 20.0
    """Height of the camera above the horizon, degrees."""
    fps: int = 24
    """Frames a second."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check_common(self)
        for text in self.texts:
            _check(bool(text.strip()), "texts", text, "words, e.g. 'a red chair'")
        edits = len(self.texts) + bool(self.image)
        _check(
            edits > 0 or len(self.seeds) > 1,
            "seeds",
            self.seeds,
            "two or more, e.g. 0,1,2; or one with --texts or --image",
        )
        _check(self.out.lower().endswith(".mp4"), "out", self.out, "a name that ends in .mp4")
        _check(2 <= self.frames <= 10_000, "frames", self.frames, "2 to 10000")
        _check(abs(self.turns) <= 100, "turns", self.turns, "-100 to 100")
        _check(abs(self.azimuth_deg) <= 3600, "azimuth_deg", self.azimuth_deg, "-3600 to 3600")
        _check(1 <= self.fps <= 120, "fps", self.fps, "1 to 120")
