"""The stories a run tells on its way, and text out of completions."""

from typing import Any

from tsjax import decode, model
from tsjax.config import Config
from tsjax.errors import UserError
from tsjax.tokenizer import TextTokenizer


def check_prompts(config: Config, tokenizer: TextTokenizer) -> None:
    """A sampler that can't be, or a prompt that does not fit, must not be found out in the middle of a run."""
    decode.Sampler(config.sample.temperature, config.sample.top_k, config.sample.top_p)
    if config.sample.prompts and config.model.context < 3:
        raise UserError(expected="config.model.context of at least 3 to sample", found=str(config.model.context),
                        todo="lengthen it, or give none: --config.sample.prompts=")  # fmt: skip
    for prompt, ids in zip(config.sample.prompts, tokenizer.encode(config.sample.prompts), strict=True):
        if len(ids) + 2 > config.model.context:
            raise UserError(
                expected=f"config.sample.prompts of at most {config.model.context - 2} tokens",
                found=f"{len(ids)} tokens in {prompt[:40]!r}",
                todo="shorten it or lengthen config.model.context",
            )


def sample_rows(step: int, config: Config, params: model.Params, tokenizer: TextTokenizer) -> list[dict[str, Any]]:
    """One story for each prompt of the config, always from the same random numbers, so that steps compare."""
    c = config.sample
    if not c.prompts:
        return []
    sampler = decode.Sampler(c.temperature, c.top_k, c.top_p)
    prompts = [[tokenizer.bos, *ids] for ids in tokenizer.encode(c.prompts)]
    done = decode.complete(config.model, params, prompts, max_new=c.max_new, eos=tokenizer.eos, sampler=sampler)
    return [
        {"step": step, "prompt": prompt, "text": story_text(tokenizer, ids, completion.ids), "ended": completion.ended}
        for prompt, ids, completion in zip(c.prompts, prompts, done, strict=True)
    ]


def story_text(tokenizer: TextTokenizer, prompt: list[int], new: list[int]) -> str:
    """The text that `new` adds to the prompt: decoded together, because the first piece alone loses its space."""
    return tokenizer.decode([*prompt, *new])[len(tokenizer.decode(prompt)) :]
