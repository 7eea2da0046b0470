"""Texts that all models of a study are read on, so that their losses are of the same thing whatever their tokenizers are."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.held_out import held_out_texts
from tsjax.errors import UserError

if TYPE_CHECKING:
    from eval.likelihood import Scorer


class Corpus:
    """The documents at `where` (a corpus file or folder, shards, hf://), without those of a training split.

    `name` is the last part of `where`; `sha256` is of the texts in order. They are read anew each time and never all held.
    UserError where there is none, or one that can't be read.
    """

    def __init__(self, where: str | Path):
        self.where, self.name = where, str(where).rstrip("/").rpartition("/")[2]
        hashed, none = sha256(), True
        for text in held_out_texts(where):
            hashed.update(sha256(text.encode()).digest())
            none = False
        if none:
            raise UserError(
                expected=f"documents in {where}", found="none that are not for training", todo="give others"
            )
        self.sha256 = hashed.hexdigest()

    def loss(self, scorer: "Scorer") -> dict[str, Any]:
        """{"corpus_name", "corpus_sha256", "corpus_loss" (nats per token of the model's own), "corpus_bits_per_byte"}.

        Both are None, and "corpus_why" says why, where the model's tokenizer can't spell the texts.
        """
        from eval.likelihood import corpus_loss

        row: dict[str, Any] = {"corpus_name": self.name, "corpus_sha256": self.sha256}
        try:
            found = corpus_loss(scorer, held_out_texts(self.where))
        except UserError as error:
            return row | {"corpus_loss": None, "corpus_bits_per_byte": None, "corpus_why": str(error)}
        return row | {"corpus_loss": found.loss, "corpus_bits_per_byte": found.bits_per_byte}
