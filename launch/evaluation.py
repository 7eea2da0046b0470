"""`tsjax eval`: the loss of a run over a validation split, or over any texts."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tsjax.errors import UserError
from tsjax.evaluate import evaluate
from tsjax.loader import make_rows
from tsjax.sharding import check_batch, make_mesh
from tsjax.shards import open_shards
from tsjax.step import make_eval_step
from tsjax.trained import open_trained


def print_loss(folder: Path, data: Path | None) -> None:
    """One JSON object: nats/token with standard error, bits/byte, and of which step and data."""
    trained = open_trained(folder)
    if not data and not trained.config.data.path:
        raise UserError(
            expected="--data, because an imported model has no shards of its own", found="none", todo="add it"
        )
    shards = open_shards(data or Path(trained.config.data.path))
    if shards.tokenizer().fingerprint != trained.tokenizer.fingerprint:
        raise UserError(
            expected=f"shards of tokenizer {trained.tokenizer.fingerprint[:12]}, with which {folder} was trained",
            found=f"{shards.tokenizer().fingerprint[:12]} in {shards.folder}",
            todo=f"prepare them with --tokenizer {folder / trained.tokenizer.file}",
        )
    config = trained.config
    mesh = make_mesh()
    check_batch(mesh, config.eval.batch_size, "the run's config.eval.batch_size")
    rows = make_rows(shards, "valid", config.model.context, config.data)
    found = evaluate(
        trained.params, make_eval_step(config), rows, mesh=mesh, batch_size=config.eval.batch_size,
        text_bytes=shards.bytes("valid") if config.data.loss == "all" else None,
        documents=shards.documents_count("valid"),
    )  # fmt: skip
    assert found is not None
    (evaluation,) = found
    row = {
        "step": trained.step,
        **dataclasses.asdict(evaluation),
        "packing": config.data.packing,
        "data": shards.fingerprint[:12],
    }
    print(json.dumps(row, indent=2))


def print_loss_of_texts(model: Path, corpus: str) -> None:
    """One JSON object: nats/token with standard error, bits/byte, documents, bytes, of a run or a llama2.c file.

    Each document is read by itself, from BOS to EOS; those of a training split are left out.
    """
    from eval.complete import opened
    from eval.held_out import held_out_texts
    from eval.likelihood import Scorer, corpus_loss

    size = 0

    def counted(texts: Iterable[str]) -> Iterator[str]:
        nonlocal size
        for text in texts:
            size += len(text.encode())
            yield text

    texts = held_out_texts(corpus)  # refused before the weights are read
    trained = next(opened(model, ()))
    found = corpus_loss(Scorer(trained), counted(texts))
    print(json.dumps({"step": trained.step, **dataclasses.asdict(found), "bytes": size, "texts": corpus}, indent=2))
