"""GGUF files through transformers' loader, which stands in for llama.cpp: logits and token ids."""

import dataclasses

import numpy as np
import pytest

from tests.texts import awkward, stories
from tests.tsjax.formats.models import CONFIGS, FOLDED, tokenizer, trained
from tsjax import families
from tsjax.config import ModelConfig
from tsjax.formats import verify
from tsjax.formats.gguf import read_gguf, write_gguf

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("gguf")
pytest.importorskip("accelerate")

TOKENS = np.random.default_rng(0).integers(512, size=(2, 90))
# transformers takes gpt2's context and MLP width out of no GGUF, so this one has the default ones.
NEO = ModelConfig(**families.gpt_neo(vocab_size=512, width=64, context=1024, layers=4, heads=16, window=1024))


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def loaded(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)


def logits(read) -> np.ndarray:
    with torch.no_grad():
        return read.eval()(torch.tensor(TOKENS)).logits.numpy()


def made_of(model):
    """transformers' Llama with the model's weights, by no file."""
    c = model.config.model
    made = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=c.vocab_size, hidden_size=c.width, intermediate_size=c.mlp_width, num_hidden_layers=c.layers,
        num_attention_heads=c.heads, num_key_value_heads=c.kv_heads, max_position_embeddings=c.context,
        rms_norm_eps=c.norm_eps, tie_word_embeddings=True,
    ))  # fmt: skip
    names = {"attention_norm.scale": "input_layernorm", "mlp_norm.scale": "post_attention_layernorm"} | {
        f"attention.{ours}.kernel": f"self_attn.{theirs}_proj"
        for ours, theirs in zip(("query", "key", "value", "out"), "qkvo", strict=True)
    } | {f"mlp.{name}.kernel": f"mlp.{name}_proj" for name in ("gate", "up", "down")}  # fmt: skip
    weights = {}
    for name, value in model.params.items():
        array = torch.tensor(np.asarray(value))
        if name.startswith("blocks."):
            layer, rest = name.split(".", 2)[1:]
            weights[f"model.layers.{layer}.{names[rest]}.weight"] = array.T if rest.endswith("kernel") else array
        else:
            weights[{"embedding": "model.embed_tokens.weight", "norm.scale": "model.norm.weight"}[name]] = array
    made.load_state_dict(weights | {"lm_head.weight": weights["model.embed_tokens.weight"]})
    return made


def test_d1_logits_are_those_of_the_same_weights_by_another_way(tmp_path):
    model = trained(CONFIGS["llama"])
    write_gguf(model, tmp_path / "out")
    read, made = loaded(tmp_path / "out"), made_of(model)
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in made.state_dict().items())
    assert np.abs(logits(read) - logits(made)).max() <= 1e-6


@pytest.mark.parametrize("config", [
    CONFIGS["llama"], CONFIGS["llama theta"], FOLDED["wide window llama"][0],
    dataclasses.replace(CONFIGS["llama"], head_dim=24), NEO, dataclasses.replace(NEO, tied=False),
], ids=["gqa", "untied, theta 5000", "wide window", "wide heads", "gpt_neo as gpt2", "gpt2 untied"])  # fmt: skip
def test_d1_d5_logits(config, tmp_path):
    """Between two libraries; float32 leaves T."""
    model = trained(config)
    write_gguf(model, tmp_path / "out")
    expected = verify.logits(model, TOKENS)
    largest = float(np.abs(logits(loaded(tmp_path / "out")) - expected).max())
    print(f"\nlargest difference {largest:.2e}, deviation {expected.std():.2f}")
    assert largest <= 5e-5 * max(2.0, float(expected.std()))


def test_d3_q8_0_is_what_our_reader_reads(tmp_path):
    model = trained(CONFIGS["llama"])
    write_gguf(model, tmp_path / "out", dtype="q8_0")
    _, params = read_gguf(tmp_path / "out" / "model.gguf")
    expected = verify.logits(dataclasses.replace(model, params=params), TOKENS)
    assert np.abs(logits(loaded(tmp_path / "out")) - expected).max() <= 5e-5 * max(2.0, float(expected.std()))


@pytest.mark.parametrize("kind", ["bpe", "byte-bpe", "byte-bpe chat"])
def test_d2_token_ids(kind, tmp_path):
    """Its Llama class strips what llama.cpp and SentencePiece keep, a space at the beginning: such texts are left out."""
    words = tokenizer(kind)
    write_gguf(trained(CONFIGS["llama"], words), tmp_path / "out")
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "out", gguf_file="model.gguf")
    texts = [text for text in (*stories(40), *awkward(300)) if kind != "bpe" or not text.startswith(" ")]
    special = {"split_special_tokens": True}
    ids = [read(text, add_special_tokens=False, **special)["input_ids"] for text in texts]
    wrong = [text for text, one, other in zip(texts, ids, words.encode(texts), strict=True) if one != other]
    assert not wrong, f"{len(wrong)} of {len(texts)}, such as {wrong[:3]!r}"
