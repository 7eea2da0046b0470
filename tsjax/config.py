"""The run's configuration: every field declared once, with its type, unit and reason.

The frozen dataclasses below declare. `default()` turns them into the ConfigDict that config files change and
the command line overrides. `resolve()` turns a ConfigDict back into them and refuses what is unknown, of the
wrong type, out of range, or without effect beside the other fields.
"""

import dataclasses
import difflib
import json
import math
import types
import typing
from typing import Any

from ml_collections import ConfigDict

from tsjax import units
from tsjax.errors import UserError


def knob(default: Any, doc: str, choices: tuple[str, ...] = (), least: float | None = None) -> Any:
    """A config field: its default, one line on what it is for (with the unit), and the values allowed."""
    return dataclasses.field(default=default, metadata={"doc": doc, "choices": choices, "least": least})


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One decoder. Families (`tsjax/families.py`) are presets of these fields, never other classes."""

    vocab_size: int = knob(0, "rows of the embedding; 0 = as many as the shards' tokenizer has", least=0)
    context: int = knob(256, "longest sequence in tokens; also the number of learned positions", least=1)
    width: int = knob(256, "residual stream, d_model", least=1)
    layers: int = knob(4, "blocks", least=1)
    heads: int = knob(4, "query heads", least=1)
    kv_heads: int = knob(0, "key/value heads (GQA, MQA); 0 = as many as heads", least=0)
    head_dim: int = knob(0, "width of one head; 0 = width / heads", least=0)
    norm: str = knob("rmsnorm", "normalisation before each branch", ("layernorm", "layernorm_nobias", "rmsnorm"))
    norm_eps: float = knob(1e-5, "added to the variance", least=0)
    position: str = knob("rope", "how order enters", ("learned", "rope", "none"))
    rope_theta: float = knob(10_000.0, "base of the rotary wavelengths", least=1)
    attention: tuple[str, ...] = knob(("global",), "pattern repeated over the layers", ("global", "local"))
    window: int = knob(256, "keys a local layer sees, the query itself included", least=1)
    attn_scale: str = knob("head_dim", "1/sqrt of this: head_dim, d_model, none (GPT-Neo), or a factor such as 0.1")
    mlp: str = knob("swiglu", "feed-forward form", ("gelu", "relu", "relu2", "silu", "swiglu", "geglu"))
    mlp_width: int = knob(0, "hidden width of the MLP; 0 = 4 x width", least=0)
    bias: str = knob(
        "none", "linear biases: none, all (GPT-2), or gpt_neo (all but q, k, v)", ("none", "all", "gpt_neo")
    )
    tied: bool = knob(True, "the output head is the embedding")
    init_std: float = knob(
        0.02, "of the initial weights; residual output matrices get this / sqrt(2 x layers)", least=0
    )
    dropout: float = knob(0.0, "on the embedding and on each branch's output", least=0)
    dtype: str = knob(
        "float32", "compute precision; parameters, softmax and loss stay float32", ("float32", "bfloat16")
    )
    kernel: str = knob("auto", "attention kernel; auto = blocked", ("auto", "blocked", "reference"))


@dataclasses.dataclass(frozen=True)
class DataConfig:
    path: str = knob("", "folder of token shards, as `tsjax prepare` writes it")
    packing: str = knob("concat", "concat = cut the stream every `context` tokens; documents = whole documents, masked apart",
                        ("concat", "documents"))  # fmt: skip
    loss: str = knob("all", "all = every token is learned; assistant = of chats, only what the assistant says",
                     ("all", "assistant"))  # fmt: skip
    seed: int = knob(0, "order of the rows", least=0)
    resident: str = knob("auto", "the token set lives on the device and only row numbers travel; "
                         "auto = on an accelerator of which it fills at most a quarter", ("auto", "yes", "no"))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    name: str = knob("adamw", "update rule", ("adamw", "lion", "adafactor", "muon", "sgd"))
    learning_rate: float = knob(1e-3, "peak", least=0)
    schedule: str = knob("cosine", "shape after warm-up", ("constant", "cosine", "linear", "rsqrt", "wsd"))
    warmup: str = knob("5%", "linear rise, the first step at peak / warmup (duration)")
    cooldown: str = knob("20%", "wsd only: the linear fall at the end (duration)")
    final_fraction: float = knob(0.1, "cosine, linear, wsd: last learning rate / peak", least=0)
    beta1: float = knob(0.9, "first-moment decay (adamw, lion); momentum (muon, sgd)", least=0)
    beta2: float = knob(0.95, "second-moment decay (adamw, lion, muon's vectors)", least=0)
    eps: float = knob(1e-8, "adamw and muon: added to the root of the second moment", least=0)
    weight_decay: float = knob(0.1, "decoupled, times the learning rate", least=0)
    no_decay: tuple[str, ...] = knob(("norm", "bias"), "parameters whose name contains one of these are not decayed")
    clip_norm: float = knob(1.0, "global gradient norm is cut to this; 0 = off", least=0)
    ema: float = knob(
        0.0,
        "decay of an average of the weights that evaluation and samples use, at most (1 + step) / (10 + step); 0 = off",
        least=0,
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    duration: str = knob("1000 steps", "length of the run (duration)")
    batch_size: int = knob(
        32, "rows of `context` tokens per optimizer step, over all devices and micro-batches", least=1
    )
    accumulate: int = knob(1, "micro-batches per step", least=1)
    steps_per_dispatch: int = knob(
        1,
        "steps sent to the device at once where no pause is due inside them: for models so small that it waits",
        least=1,
    )
    seed: int = knob(0, "initial weights and dropout", least=0)
    log_every: int = knob(10, "steps between rows of metrics.jsonl", least=1)
    on_nonfinite: str = knob("stop", "NaN or infinity in loss or gradient: stop (exit 70), or skip that update",
                             ("stop", "skip"))  # fmt: skip
    max_skips: int = knob(20, "skip only: stop after this many skipped updates in a row", least=1)


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """How the devices share the work; those that the two leave over split the batch alone. A resume may change it."""

    fsdp: int = knob(1, "devices among which parameters and moments are split; they split the batch, too", least=1)
    tensor: int = knob(1, "devices among which heads, hidden units and vocabulary are split", least=1)


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    every: str = knob("10%", "between full passes over the validation split (duration)")
    batch_size: int = knob(32, "rows per evaluation batch", least=1)


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    every: str = knob("25%", "between sampled stories (duration)")
    prompts: tuple[str, ...] = knob(
        ("Once upon a time",), "beginnings; an empty one starts from BOS alone; none at all = no samples"
    )
    max_new: int = knob(200, "new tokens at most", least=1)
    temperature: float = knob(0.8, "0 = greedy", least=0)
    top_k: int = knob(0, "keep the k likeliest tokens; 0 = all", least=0)
    top_p: float = knob(0.95, "keep the likeliest tokens up to this mass; 1 = all", least=0)


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    every: str = knob("10%", "between checkpoints (duration)")
    keep_last: int = knob(2, "newest ones kept; 2 at least, so that a damaged newest one leaves another", least=2)
    keep_every: int = knob(0, "also keep multiples of this many steps; 0 = none", least=0)
    keep_log2: bool = knob(False, "also save and keep steps 1, 2, 4, 8, ...: for studies of learning over time")


@dataclasses.dataclass(frozen=True)
class Config:
    """The whole run, as stored in `config.json`."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()
    mesh: MeshConfig = MeshConfig()
    eval: EvalConfig = EvalConfig()
    sample: SampleConfig = SampleConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()


SECTIONS: dict[str, type] = {f.name: typing.get_type_hints(Config)[f.name] for f in dataclasses.fields(Config)}
DURATIONS = (
    "train.duration",
    "optimizer.warmup",
    "optimizer.cooldown",
    "eval.every",
    "sample.every",
    "checkpoint.every",
)


def default() -> ConfigDict:
    """The ConfigDict of all declared fields at their defaults, locked: a new key is an error."""
    return to_config_dict(Config())


def to_config_dict(config: Config) -> ConfigDict:
    return ConfigDict(dataclasses.asdict(config), convert_dict=True).lock()


def override(config: ConfigDict, name: str, text: str) -> None:
    """Sets one field from the command line: `override(config, "model.width", "512")`.

    Raises UserError for an unknown name (offering the nearest) and for a value that its type can't hold.
    """
    section, _, key = name.partition(".")
    _check_key(name, section, key)
    config[section][key] = _parse(name, typing.get_type_hints(SECTIONS[section])[key], text)


def resolve(config: ConfigDict) -> Config:
    """ConfigDict -> Config, checked. Raises UserError naming the first field that is wrong, and why."""
    sections = {}
    for section, values in config.items():
        _check_key(section, section, None)
        hints = typing.get_type_hints(SECTIONS[section])
        if not isinstance(values, ConfigDict):
            raise UserError(expected=f"{section} as a group of fields", found=repr(values),
                            todo=f"set its fields: {section}.{next(iter(hints))}, ...")  # fmt: skip
        fields = {}
        for key, value in values.items():
            name = f"{section}.{key}"
            _check_key(name, section, key)
            fields[key] = _typed(name, hints[key], value)
        sections[section] = SECTIONS[section](**fields)
    resolved = Config(**sections)
    _check_values(resolved)
    _check_contradictions(resolved)
    return resolved


def all_names() -> list[str]:
    """Every field as `section.key`."""
    return [f"{s}.{f.name}" for s, cls in SECTIONS.items() for f in dataclasses.fields(cls)]


def _check_key(name: str, section: str, key: str | None) -> None:
    if section in SECTIONS and (key is None or any(f.name == key for f in dataclasses.fields(SECTIONS[section]))):
        return
    names = all_names()
    # The leaf alone may be what was meant: `--config.width` for `model.width`.
    near = difflib.get_close_matches(name, names, 1, 0.6) or [
        n for n in names if n.split(".")[1] in (name, key)
    ] or difflib.get_close_matches(name, names, 1, 0.3)  # fmt: skip
    hint = f"did you mean config.{near[0]}?" if near else f"the groups are {', '.join(SECTIONS)}"
    raise UserError(expected="a declared config field", found=f"config.{name}", todo=hint)


def _wrong_type(name: str, hint: Any, value: Any) -> UserError:
    kind = "words separated by commas, or a JSON list" if typing.get_origin(hint) is tuple else hint.__name__
    return UserError(expected=f"config.{name} of type {kind}", found=repr(value), todo="give a value of that type")


def _parse(name: str, hint: Any, text: str) -> Any:
    if typing.get_origin(hint) is tuple:
        if text.startswith("["):  # a JSON list, for entries with commas in them
            return _typed(name, hint, _json_list(name, hint, text))
        return tuple(part.strip() for part in text.split(",")) if text else ()
    if hint is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if hint is int:
            return int(text) if "e" not in text.lower() else _integral(float(text))
        if hint is float:
            return float(text)
    except ValueError as error:
        raise _wrong_type(name, hint, text) from error
    if hint is str:
        return text
    raise _wrong_type(name, hint, text)


def _json_list(name: str, hint: Any, text: str) -> list:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _wrong_type(name, hint, text) from error


def _integral(value: float) -> int:
    if not value.is_integer():
        raise ValueError(value)
    return int(value)


def _typed(name: str, hint: Any, value: Any) -> Any:
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) and type(value) is hint:
        return value
    if hint is str and name in DURATIONS and type(value) is int:
        return str(value)
    raise _wrong_type(name, hint, value)


def _check_values(config: Config) -> None:
    for section, cls in SECTIONS.items():
        for field in dataclasses.fields(cls):
            name, value = f"config.{section}.{field.name}", getattr(getattr(config, section), field.name)
            choices, least = field.metadata["choices"], field.metadata["least"]
            for part in value if isinstance(value, tuple) else (value,):
                if choices and part not in choices:
                    near = difflib.get_close_matches(str(part), choices, 1)
                    raise UserError(expected=f"{name} among {', '.join(choices)}", found=repr(part),
                                    todo=f"did you mean {near[0]!r}?" if near else "choose one of them")  # fmt: skip
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(expected=f"{name} as a finite number", found=str(value), todo="change it")
            if field.name == "seed" and value >= 2**32:
                raise UserError(expected=f"{name} below 2^32", found=str(value), todo="lower it")
            if least is not None and not value >= least:
                raise UserError(expected=f"{name} of at least {least:g}", found=repr(value), todo="raise it")
    for name in DURATIONS:
        section, key = name.split(".")
        units.parse(getattr(getattr(config, section), key), f"config.{name}")


def _check_contradictions(config: Config) -> None:
    """Fields that can't be together, and fields that were set but would have no effect."""
    model, optimizer, train = config.model, config.optimizer, config.train

    def refuse(expected: str, found: str, todo: str) -> None:
        raise UserError(expected=expected, found=found, todo=todo)

    if not model.head_dim and model.width % model.heads:
        refuse("config.model.heads that divides config.model.width", f"{model.heads} heads, width {model.width}",
               "change one of them or set config.model.head_dim")  # fmt: skip
    if model.kv_heads and model.heads % model.kv_heads:
        refuse("config.model.kv_heads that divides config.model.heads",
               f"{model.kv_heads} kv_heads, {model.heads} heads", "change one of them")  # fmt: skip
    if model.position == "rope" and (model.head_dim or model.width // model.heads) % 2:
        refuse("an even head width for rotary positions", str(model.head_dim or model.width // model.heads),
               "change config.model.heads or config.model.head_dim")  # fmt: skip
    if not model.attention:
        refuse("config.model.attention with at least one entry", "none", "set it to global or global,local")
    if model.attn_scale not in ("none", "head_dim", "d_model"):
        try:
            float(model.attn_scale)
        except ValueError:
            refuse(
                "config.model.attn_scale as none, head_dim, d_model or a number", repr(model.attn_scale), "choose one"
            )
    if train.batch_size % train.accumulate:
        refuse("config.train.batch_size divisible by config.train.accumulate",
               f"{train.batch_size} and {train.accumulate}", "change one of them")  # fmt: skip
    for name, value in (("model.dropout", model.dropout), ("optimizer.ema", optimizer.ema),
                        ("optimizer.beta1", optimizer.beta1), ("optimizer.beta2", optimizer.beta2)):  # fmt: skip
        if value >= 1:
            refuse(f"config.{name} below 1", str(value), "lower it")

    defaults = Config()
    idle = [
        ("model.rope_theta", model.position != "rope", "config.model.position is not rope"),
        ("model.window", "local" not in model.attention, "config.model.attention has no local layer"),
        ("optimizer.cooldown", optimizer.schedule != "wsd", "config.optimizer.schedule is not wsd"),
        ("optimizer.final_fraction", optimizer.schedule in ("constant", "rsqrt"), "the schedule does not fall to it"),
        ("optimizer.beta2", optimizer.name in ("sgd", "adafactor"), f"{optimizer.name} has no beta2"),
        ("optimizer.eps", optimizer.name not in ("adamw", "muon"), f"{optimizer.name} has no eps"),
        ("train.max_skips", train.on_nonfinite != "skip", "config.train.on_nonfinite is not skip"),
    ]
    for name, is_idle, why in idle:
        section, key = name.split(".")
        value = getattr(getattr(config, section), key)
        if is_idle and value != getattr(getattr(defaults, section), key):
            refuse(
                f"config.{name} left alone because {why}",
                repr(value),
                f"remove config.{name} or change the other field",
            )
