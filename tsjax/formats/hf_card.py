"""The model card of a Hugging Face folder: what the model is, and only numbers that were measured."""

import json
from typing import Any

import yaml

from tsjax.flops import count_parameters
from tsjax.model_config import head_shape, mlp_width
from tsjax.trained import Trained


def card(trained: Trained, name: str, family: str, notes: list[str], about: dict[str, Any]) -> str:
    """README.md with its header. `about`: data, git_commit, measured, imported_from of `huggingface.write_hf`."""
    model, parameters = trained.config.model, count_parameters(trained.config.model)
    heads, kv_heads, head_dim = head_shape(model)
    chat = "assistant" in trained.tokenizer.markers
    prompt = next(filter(None, trained.config.sample.prompts), "Once")
    header: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["tsjax", family],
    }
    if not chat:
        header["widget"] = [{"text": prompt}]
    measured, rows = about.get("measured"), []
    if measured:
        header["model-index"] = [{"name": name, "results": [_result(measured, about)]}]
        rows = [f"| {what} | {value} |" for what, value in _measured(measured)]
    shape = [
        ("parameters", f"{parameters.total:,}, of which {parameters.blocks:,} are in the blocks"),
        ("layers x width", f"{model.layers} x {model.width}"),
        ("heads", f"{heads} of {head_dim}" + (f", {kv_heads} for keys and values" if kv_heads != heads else "")),
        ("MLP", f"{model.mlp}, {mlp_width(model):,} wide"),
        ("context", f"{model.context} tokens"),
        ("vocabulary", f"{model.vocab_size:,} tokens"),
        ("trained for", f"{trained.step:,} steps" if trained.step else "unknown to who wrote this folder"),
        ("data", f"shards {about['data'][:12]}" if about.get("data") else "unknown to who wrote this folder"),
    ]
    lines = [
        f"# {name}",
        f"A small language model of the family {family}, written by tsjax.",
        "| | |\n| --- | --- |\n" + "\n".join(f"| {what} | {value} |" for what, value in shape),
        "## Measured",
        "\n".join(
            ["| on the validation split | |", "| --- | --- |", *rows] if rows else ["Nothing, of these weights."]
        ),
        "## Use",
        _use(prompt, chat),
        "A text begins with BOS, which the tokenizer puts there, and ends at one of the ids in `generation_config.json`. "
        "The tokenizer reads special tokens that are written in a text, such as the name of BOS; "
        "`split_special_tokens=True` makes them plain text, as they were in training.",
        *(["## Not as it was trained", "\n".join(f"- {note}" for note in notes)] if notes else []),
        "## Limits",
        f"It has seen nothing but its training data, and never more than {model.context} tokens at once. Its licence is "
        "that of the data it was trained on, where that says so.",
        "`tsjax.json` holds the whole configuration; `tsjax import` makes a run of this folder again.",
    ]
    head = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n" + "\n\n".join(lines) + "\n"


def _measured(found: dict[str, Any]) -> list[tuple[str, str]]:
    error = f" ± {found['standard_error']:.4f}" if "standard_error" in found else ""
    listed = [("nats/token", f"{found['loss']:.4f}{error}")]
    if found.get("bits_per_byte") is not None:
        listed.append(("bits/byte", f"{found['bits_per_byte']:.4f}"))
    return listed + [(what, f"{found[what]:,}") for what in ("documents", "tokens") if what in found]


def _result(found: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    metrics = [{"type": "loss", "name": "nats/token", "value": found["loss"]}]
    if found.get("bits_per_byte") is not None:
        metrics.append({"type": "bits_per_byte", "name": "bits/byte", "value": found["bits_per_byte"]})
    dataset = {"type": "tsjax-shards", "name": f"validation split of shards {str(about.get('data'))[:12]}"}
    return {"task": {"type": "text-generation"}, "dataset": dataset, "metrics": metrics}


def _use(prompt: str, chat: bool) -> str:
    code = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'tokenizer, model = (auto.from_pretrained("FOLDER") for auto in (AutoTokenizer, AutoModelForCausalLM))',
    ]
    if chat:
        code += [
            'messages = [{"role": "user", "content": "How are you?"}]',
            "inputs = tokenizer.apply_chat_template(",
            '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
            ")",
        ]
    else:
        code.append(f'inputs = tokenizer({json.dumps(prompt)}, return_tensors="pt")')
    code.append("print(tokenizer.decode(model.generate(**inputs)[0], skip_special_tokens=True))")
    return "```python\n" + "\n".join(code) + "\n```"
