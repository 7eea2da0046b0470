"""Our folders in transformers (torch, CPU), and how near two models' logits must be."""

import numpy as np
import pytest


def loaded(folder, **options):
    """Their model, of whose keys none may be missing, left over or of another shape."""
    transformers = pytest.importorskip("transformers")
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **options)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model.eval().float()


def their_logits(model, tokens: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return model(torch.from_numpy(tokens).long()).logits.numpy()


def agree(expected: np.ndarray, found: np.ndarray) -> float:
    """Asserts |difference| <= T and equal argmax where the reference is clear; returns the difference over T."""
    sigma = float(expected.std())
    tolerance = 5e-5 * max(2.0, sigma)
    difference = float(np.abs(expected - found).max())
    top2 = np.sort(expected, axis=-1)[..., -2:]
    clear = top2[..., 1] - top2[..., 0] > 1e-3
    assert sigma > 0.3 and difference <= tolerance, (difference, tolerance)
    assert (expected.argmax(-1) == found.argmax(-1))[clear].all()
    return difference / tolerance
