"""Configuration of the verbs that edit and film: demo, edit, orbit, morph.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Literal

from clipnerf.config.paths import CHAIRS
from clipnerf.config.ranges import (
    Azimuth,
    Config,
    Device,
    Elevation,
    OpenShare,
    Pixels,
    Range,
    Rule,
    Seed,
    Strength,
    Text,
    require,
)

Frames = Annotated[int, Range(1, 10_000)]
FramesPerSecond = Annotated[int, Range(1, 120)]


def parts_of(edits: list[str]) -> list[tuple[str, str]]:
    """Pairs of part and text of local edits; UsageError for one that is no such pair."""
    pairs = []
    for edit in edits:
        part, colon, text = (piece.strip() for piece in edit.partition(":"))
        ok = bool(part and colon and text)
        require(ok, "edit", edit, "a part and what it is to become, e.g. 'the seat: red'")
        pairs.append((part, text))
    return pairs


@dataclass(frozen=True)
class _Objects(Config):
    """What all have in common: a bundle, its objects, strengths, the camera's height."""

    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP and mappers."""
    _: KW_ONLY
    seeds: list[Seed] = field(default_factory=lambda: [0, 1, 2, 3])
    """Objects, one a seed; a seed is the same object on every machine."""
    shape: Strength | None = None
    """Strength of the change of shape. By default a universal mapper decides by the words; 1 for
    the paper's, and for pictures."""
    appearance: Strength | None = None
    """The same for colors."""
    mapper: Literal["paper", "universal"] | None = None
    """Kind of mapper; by default universal where the bundle has one, else the paper's."""
    size: Pixels = 128
    """Width and height of a view, pixels."""
    elevation_deg: Elevation = 20.0
    """Height of the camera above the horizon, degrees."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield len(self.seeds) >= 1, "seeds", "one or more, e.g. 0,1,2,3"


@dataclass(frozen=True)
class EditedConfig(_Objects):
    """What is to change, and where: shared by edit and orbit."""

    text: Text = ""
    """What the objects are to become, in words, e.g. "a red chair"."""
    prompts: dict[Text, Strength] = field(default_factory=dict)
    """Several texts at once, each with its weight: "{a red chair: 1, a wide chair: 0.5}"."""
    image: str = ""
    """An exemplar in the place of words: a picture of an object, e.g. photo.png."""
    _: KW_ONLY
    codes: str = ""
    """Objects found in photos, in the place of seeds: a codes.safetensors of clipnerf invert."""
    edit: list[Text] = field(default_factory=list)
    """Local edits, each a part and what it is to become: --edit "the wheels: black" --edit
    "the body: green"; of one part twice the last counts."""
    region: Text = ""
    """Change this part alone to --text, --prompts or --image: a phrase, e.g. "the seat"."""
    region_box: list[Annotated[float, Range(-100, 100)]] = field(default_factory=list)
    """In the place of a phrase a box in the world: x0,y0,z0,x1,y1,z1 (front +x, left +y, up +z)."""
    region_mask: str = ""
    """In the place of a phrase a picture, white where to change, painted over the view from
    azimuth_deg (orbit: 30) and elevation_deg."""
    threshold: OpenShare = 0.5
    """How sure it has to be that a point belongs to a phrase."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield from super().rules()
        parts_of(self.edit)
        for keys in (("region", "region_box", "region_mask"), ("text", "prompts", "image")):
            given = [key for key in keys if getattr(self, key)]
            alone = f"one of --{', --'.join(keys)}; {' and '.join(given)} are all given"
            yield len(given) <= 1, given[-1] if given else "text", alone
        yield len(self.region_box) in (0, 6), "region_box", "six numbers: x0,y0,z0,x1,y1,z1"
        yield all(prompt.strip() for prompt in self.prompts), "prompts", "words: {a red chair: 1}"
        wanted = "what it is to become, e.g. --text 'a red chair', or a picture: --image photo.png"
        yield bool(self.text.strip() if self.text else given or not self._needed()), "text", wanted

    def _needed(self) -> bool:
        """Whether there is something that has to become something else."""
        return bool(self.region or self.region_box or self.region_mask)


@dataclass(frozen=True)
class DemoConfig(_Objects):
    """Edit objects of the bundle that comes with the project: an orbit video and a sheet."""

    text: Text = "a blue chair with a high back"
    """What the objects are to become, in words."""
    out: str = "out/demo"
    """Folder for the video and the contact sheet."""
    _: KW_ONLY
    seeds: list[Seed] = field(default_factory=lambda: [0, 1, 2, 3])
    """Objects on the sheet, one a seed; the first orbits in the video."""
    size: Pixels = 128
    """Width and height of a view, pixels; the video shows two views side by side."""
    frames: Frames = 48
    """Frames of the video, one turn."""
    fps: FramesPerSecond = 24
    """Frames a second."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield from super().rules()
        yield bool(self.text.strip()), "text", "what it is to become, e.g. 'a red chair'"
        yield bool(self.out.strip()), "out", "the path to write"


@dataclass(frozen=True)
class EditConfig(EditedConfig):
    """Edit objects by words or by a picture; writes a sheet of them before and after."""

    out: str = "out/edit.png"
    """The sheet, a .png file."""
    _: KW_ONLY
    azimuth_deg: Azimuth = 30.0
    """Direction of the camera, degrees; 0 looks at the front, growing counter-clockwise."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield from super().rules()
        yield self.out.lower().endswith(".png"), "out", "a name that ends in .png"

    def _needed(self) -> bool:
        return super()._needed() or not self.edit


@dataclass(frozen=True)
class OrbitConfig(EditedConfig):
    """Film objects, edited by words or a picture or as they are, in one turn of the camera, or
    along a camera path."""

    out: str = "out/orbit.mp4"
    """The video, an .mp4 file."""
    _: KW_ONLY
    seeds: list[Seed] = field(default_factory=lambda: [0])
    """Objects, one a seed; they turn side by side."""
    frames: Frames = 48
    """Frames, one turn."""
    fps: FramesPerSecond = 24
    """Frames a second."""
    camera_path: str = ""
    """In the place of a turn a camera path of clipnerf view or of nerfstudio, a .json file; frames,
    fps, elevation and size of the pictures are then the file's."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield from super().rules()
        yield self.out.lower().endswith(".mp4"), "out", "a name that ends in .mp4"


@dataclass(frozen=True)
class MorphConfig(_Objects):
    """Film objects as they become one another, or as edits change them, and back."""

    _: KW_ONLY
    seeds: list[Seed] = field(default_factory=lambda: [0, 1, 2, 3])
    """Objects, one a seed, that become one another in this order. With texts or an image they
    stand side by side instead, and each passes through its own edits."""
    texts: list[Text] = field(default_factory=list)
    """Edits to pass through, in this order, each of the objects as they are at first, e.g.
    "a red chair,a chair with a high back"."""
    image: str = ""
    """An exemplar to pass through, after the texts: a picture of an object, e.g. photo.png."""
    out: str = "out/morph.mp4"
    """The video, an .mp4 file."""
    frames: Annotated[int, Range(2, 10_000)] = 96
    """Frames in all."""
    loop: bool = True
    """Come back to the start at the end, so that the video can be repeated."""
    turns: Annotated[float, Range(-100, 100)] = 1.0
    """How often the camera goes around meanwhile; 0: it stands still."""
    azimuth_deg: Azimuth = 30.0
    """Direction of the camera at the start, degrees; 0 looks at the front."""
    fps: FramesPerSecond = 24
    """Frames a second."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield from super().rules()
        yield all(text.strip() for text in self.texts), "texts", "words, e.g. 'a red chair'"
        several = bool(self.texts or self.image) or len(self.seeds) > 1
        yield several, "seeds", "two or more, e.g. 0,1,2; or one with --texts or --image"
        yield self.out.lower().endswith(".mp4"), "out", "a name that ends in .mp4"
