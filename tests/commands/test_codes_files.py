"""Files of codes that are whole, and fit neither themselves nor the generator."""

import pytest
import torch

from clipnerf.cli import main
from tests.tiny_bundle import CODE_DIM, tiny_bundle, tiny_codes, tiny_generator

SIZES = {"shape": (CODE_DIM,), "appearance": (CODE_DIM,), "rotation": (3, 3), "shift": (2,)}
NONE = {
    name: torch.zeros(0, *SIZES.get(name, ()))
    for name in (*SIZES, "distance", "psnr", "foreground_r2")
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"shape": torch.zeros(2, 4), "appearance": torch.zeros(2, 4)}, "codes are 4 numbers wide"),
        ({"detail_shape": torch.zeros(7)}, "detail"),
        ({"detail_shape": torch.zeros(2, 3, 5), "detail_appearance": torch.zeros(2, 3, 5)}, ""),
        ({"detail_appearance": torch.zeros(2, 3, 5)}, "detail_shape is missing"),
        ({"appearance": torch.zeros(1, CODE_DIM)}, "appearance is of shape"),
        (NONE, "it holds no object"),
    ],
)
@pytest.mark.parametrize("verb", ["edit", "export"])
def test_a_line_says_what_does_not_fit(bundle, tmp_path, capsys, verb, changes, said):
    file = tiny_codes(tmp_path / "codes.safetensors", tiny_generator().hash, **changes)
    out = tmp_path / {"edit": "out.png", "export": "out.ply"}[verb]
    size = ["--size=16", "--text=a red disc"] if verb == "edit" else ["--resolution=16"]
    code = main([verb, str(bundle), "--codes", str(file), "--out", str(out), *size])
    err = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("clipnerf: error")
    ]
    if not changes:
        assert code == 0 and not err
        return
    assert code == 2 and len(err) == 1 and said in err[0] and "codes.safetensors" in err[0]
    assert not list(tmp_path.glob("out*"))
