"""The stories a run tells on its way, and text out of completions."""

from collections.abc import Sequence
from typing import Any

from tsjax import decode, model
from tsjax.config import Config
from tsjax.errors import UserError
from tsjax.tokenizer import UNKNOWN, Tokenizer, begin

BATCH = 64  # rows decoded at once


def check_prompts(config: Config, tokenizer: Tokenizer) -> None:
    """A sampler that can't be, or a prompt that does not fit, must not be found out in the middle of a run."""
    make_sampler(config)
    if config.sample.prompts and config.model.context < 3:
        raise UserError(expected="config.model.context of at least 3 to sample", found=str(config.model.context),
                        todo="lengthen it, or give none: --config.sample.prompts=")  # fmt: skip
    for prompt, ids in zip(config.sample.prompts, prompt_ids(tokenizer, config.sample.prompts), strict=True):
        if len(ids) + 1 > config.model.context:
            raise UserError(
                expected=f"config.sample.prompts of at most {config.model.context - 2} tokens",
                found=f"{len(ids) - 1} tokens in {prompt[:40]!r}",
                todo="shorten it or lengthen config.model.context",
            )


def prompt_ids(tokenizer: Tokenizer, prompts: Sequence[str]) -> list[list[int]]:
    """BOS + pieces of each prompt; UserError for one that the vocabulary can't spell."""
    rows = tokenizer.encode(prompts)
    for prompt, ids in zip(prompts, rows, strict=True):
        if UNKNOWN in ids:
            raise UserError(expected="prompts that the run's tokenizer can spell", found=repr(prompt[:60]),
                            todo="use other words: its vocabulary leaves rare ones out")  # fmt: skip
    return [begin(tokenizer, ids) for ids in rows]


def stops(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids at which a completion ends: EOS, where the user would speak, and where another document begins.

    The documents of llama2.c's models end with nothing else than the next one's BOS.
    """
    return tuple(dict.fromkeys((tokenizer.eos, tokenizer.markers.get("user", tokenizer.eos), tokenizer.bos)))


def make_sampler(config: Config) -> decode.Sampler:
    """The sampler that the config names; UserError when it can't be."""
    return decode.Sampler(config.sample.temperature, config.sample.top_k, config.sample.top_p)


def sample_rows(step: int, config: Config, params: model.Params, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """One story for each prompt of the config, always from the same random numbers, so that steps compare."""
    c = config.sample
    done = complete_texts(config, params, tokenizer, c.prompts, max_new=c.max_new, sampler=make_sampler(config))
    return [{"step": step, **row} for row in done]


def complete_texts(
    config: Config,
    params: model.Params,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new: int,
    sampler: decode.Sampler,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """prompt, text and ended of each prompt, in order; prompt i draws with (seed, i) whatever the batch."""
    ids = prompt_ids(tokenizer, prompts)
    done: list[decode.Completion] = []
    for first in range(0, len(ids), BATCH):
        batch = ids[first : first + BATCH]
        done += decode.complete(
            config.model, params, batch, max_new=max_new, stops=stops(tokenizer), sampler=sampler, seed=seed,
            row_seeds=range(first, first + len(batch)),
        )  # fmt: skip
    return [
        {"prompt": prompt, "text": story_text(tokenizer, row, completion.ids), "ended": completion.ended}
        for prompt, row, completion in zip(prompts, ids, done, strict=True)
    ]


def story_text(tokenizer: Tokenizer, prompt: list[int], new: list[int]) -> str:
    """The text that `new` adds to the prompt: decoded together, because the first piece alone loses its space."""
    return tokenizer.decode([*prompt, *new])[len(tokenizer.decode(prompt)) :]
