"""The peers of `step` and `decode`: the same model in transformers on torch, with what was fastest there.

Attention: SDPA where the model class has it (Llama; GPT-Neo has its own alone). Fused AdamW, gradients set to None,
cross-entropy on the flattened logits, one model for each variant.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import torch
import transformers

from benchmarks.shapes import model_config
from tsjax.model_config import ModelConfig, mlp_width

VARIANTS = ("transformers eager", "transformers torch.compile")


def make(shape: str, batch_size: int, names: tuple[str, ...] = VARIANTS) -> dict[str, Callable[[], object]]:
    """The variants by name; each call takes one training step."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    return {name: _stepper(model_config(shape), batch_size, "compile" in name) for name in names}


def make_generate(shape: str, batch_size: int, prompt: int, new: int) -> dict[str, Callable[[], object]]:
    """Greedy generation of `new` tokens after `prompt` random ones, with the KV cache, on all cores and on one.

    Where a step is short or a core is taken, threads that wait for each other cost more than they give.
    """
    torch.manual_seed(0)
    config = model_config(shape)
    model = build(config).eval()
    ids = torch.randint(3, config.vocab_size, (batch_size, prompt))
    mask = torch.ones_like(ids)

    def run(threads: int) -> None:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=mask, max_new_tokens=new, min_new_tokens=new, do_sample=False, use_cache=True,
                pad_token_id=0,
            )  # fmt: skip
        assert out.shape[1] == prompt + new

    cores = len(os.sched_getaffinity(0))
    variants = {"transformers generate": cores, "transformers generate, 1 thread": 1}
    return {name: functools.partial(run, threads) for name, threads in variants.items()}


def parameters(shape: str) -> int:
    """Trainable numbers of the peer's model, tied ones once."""
    return sum(p.numel() for p in build(model_config(shape)).parameters())


def forward_flops(shape: str) -> float:
    """Operations per token of the forward pass at full context, as torch counts the matmuls it runs."""
    from torch.utils.flop_counter import FlopCounterMode

    config = model_config(shape)
    model = build(config)
    model.set_attn_implementation("eager")  # the counter does not know the CPU's SDPA
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(input_ids=torch.zeros((1, config.context), dtype=torch.long), use_cache=False)
    return counter.get_total_flops() / config.context


def build(config: ModelConfig) -> Any:
    """transformers' model of the same shape, in training mode, with its fastest attention."""
    shared: dict[str, Any] = dict(
        vocab_size=config.vocab_size, max_position_embeddings=config.context, hidden_size=config.width,
        initializer_range=config.init_std, tie_word_embeddings=config.tied, use_cache=False, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    if "learned" in config.position:
        neo = transformers.GPTNeoConfig(
            **shared, num_layers=config.layers, num_heads=config.heads, intermediate_size=mlp_width(config),
            attention_types=[[list(config.attention), config.layers // len(config.attention)]], window_size=config.window,
            resid_dropout=0.0, embed_dropout=0.0, attention_dropout=0.0,
        )  # fmt: skip
        return transformers.GPTNeoForCausalLM(neo).train()
    llama = transformers.LlamaConfig(
        **shared, num_hidden_layers=config.layers, num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads or config.heads, intermediate_size=mlp_width(config),
        rms_norm_eps=config.norm_eps, attn_implementation="sdpa",
    )  # fmt: skip
    return transformers.LlamaForCausalLM(llama).train()


def _stepper(config: ModelConfig, batch_size: int, compiled: bool) -> Callable[[], object]:
    model = build(config)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    tokens = torch.randint(0, config.vocab_size, (batch_size, config.context + 1))
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].reshape(-1)

    def loss_of(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = model(input_ids=inputs, use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets)

    forward = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def run() -> None:
        loss = forward(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return run
