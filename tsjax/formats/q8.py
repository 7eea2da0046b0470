"""Q8_0 as llama2.c has it: int8 values from -127 to 127 in groups, each with one float32 scale."""

import numpy as np

from tsjax.errors import UserError

LARGEST_GROUP = 64
SMALL_GROUP = 16  # below it the scales take more than a fifth of the file


def group_size(width: int, hidden: int, asked: int = 0) -> int:
    """The largest power of two up to 64 that divides both row lengths, or `asked` (0 = none); UserError if it doesn't.

    runq.c goes over whole groups of a row. A group that divides the width alone is read across the rows' ends.
    """
    if asked:
        for field, length in (("width", width), ("mlp_width", hidden)):
            if asked < 1 or length % asked:
                raise UserError(
                    expected=f"a group of 1 or more that divides config.model.{field} = {length}", found=str(asked),
                    todo=f"leave the group out: {group_size(width, hidden)} is the largest that fits",
                )  # fmt: skip
        return asked
    group = LARGEST_GROUP
    while width % group or hidden % group:
        group //= 2
    return group


def quantize(matrix: np.ndarray, group: int) -> tuple[np.ndarray, np.ndarray]:
    """(int8 values of the matrix's shape, float32 scale of each group in flat order); a group of zeros has scale 0."""
    flat_Gxg = np.asarray(matrix, np.float32).reshape(-1, group)
    scales_G = np.abs(flat_Gxg).max(axis=1) / np.float32(127)
    divisors = np.where(scales_G > 0, scales_G, 1)
    # Subnormal scales are rounded so coarsely that a value could come out above 127.
    values = np.clip(np.rint(flat_Gxg / divisors[:, None]), -127, 127).astype(np.int8)
    return values.reshape(matrix.shape), scales_G


def dequantize(values: np.ndarray, scales_G: np.ndarray) -> np.ndarray:
    """float32, of the values' shape."""
    groups_Gxg = values.reshape(len(scales_G), -1).astype(np.float32)
    return (groups_Gxg * scales_G[:, None]).reshape(values.shape)
