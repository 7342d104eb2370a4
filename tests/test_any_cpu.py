"""Promises of bits, and comparisons of bits, on a processor without AVX-512.

Matrix products round by their size and by the row, there more than elsewhere: what is drawn in
batches of different sizes, or in different places of one batch, may differ in the last bits.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "CLIPNERF_NATIVE": "avx2",
}
COMPARE_BITS = (
    "tests/commands/test_evaluate.py::test_everything_at_hand_is_measured",
    "tests/evaluation/edits/test_measure.py::test_an_edit_that_changes_nothing",
    "tests/evaluation/edits/test_measure.py::test_the_first_view_is_what_is_shown",
    "tests/gan/test_inference.py::test_appearance_changes_no_bit_of_opacity_or_depth",
    "tests/gan/test_inference.py::test_what_is_traced_together_does_not_depend_on_appearance",
    "tests/gan/test_generator.py::test_appearance_changes_no_bit_of_opacity_or_depth",
    "tests/gan/test_generator.py::test_appearance_changes_no_bit_of_geometry_in_training_patches",
    "tests/gan/test_local_edits.py::test_a_color_edit_changes_no_bit_of_geometry_and_none_outside",
    "tests/fields/test_masks.py",
    "tests/editor/test_local_edit.py::test_a_local_color_changes_its_region_alone",
    "tests/editor/test_editor.py::test_an_appearance_edit_changes_no_bit_of_geometry",
)
RUN = """
import sys
import pytest
import torch

assert torch.backends.cpu.get_cpu_capability() == "AVX2", torch.backends.cpu.get_cpu_capability()
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"),
    reason="AVX2 is an instruction set of x86-64, and this is another processor",
)
def test_bits_are_the_same_bits_without_avx_512():
    done = subprocess.run(
        [sys.executable, "-c", RUN, *COMPARE_BITS],
        cwd=ROOT,
        env={**os.environ, **AVX2},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout, done.stdout[-500:]
