"""Two layouts of a rotary head: tsjax and Hugging Face turn row j with row j + D/2, llama2.c and GGUF rows 2j and 2j + 1.

Models go from one to the other by reordering the rows of the query and key matrices, so that scores stay the same.
"""

import numpy as np


def halves_from_pairs(rows_RxE: np.ndarray, head_dim: int) -> np.ndarray:
    """Rows of a query or key matrix (R = heads x D) from neighbouring pairs to halves."""
    heads = rows_RxE.reshape(-1, head_dim // 2, 2, rows_RxE.shape[1])
    return heads.swapaxes(1, 2).reshape(rows_RxE.shape)


def pairs_from_halves(rows_RxE: np.ndarray, head_dim: int) -> np.ndarray:
    """The inverse of `halves_from_pairs`."""
    heads = rows_RxE.reshape(-1, 2, head_dim // 2, rows_RxE.shape[1])
    return heads.swapaxes(1, 2).reshape(rows_RxE.shape)
