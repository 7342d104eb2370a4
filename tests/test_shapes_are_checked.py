"""The checker of shapes is really at work in these tests, not only named in signatures."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from clipnerf.training.run_folder import RunFolder


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 3), np.uint8), np.zeros((4, 4, 3), np.float32)],
)
def test_a_wrong_shape_or_dtype_raises(wrong):
    with pytest.raises(TypeCheckError, match="picture"):
        RunFolder.picture(object.__new__(RunFolder), 0, "rgb", wrong)
