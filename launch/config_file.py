"""`--config=configs/tinystories.py:33m --config.model.width=512` -> Config."""

import difflib
import importlib.util
from pathlib import Path

from ml_collections import ConfigDict

from tsjax.config import Config, override, resolve
from tsjax.errors import UserError


def load(spec: str, overrides: list[str]) -> Config:
    """Loads a config file with its argument, applies `--config.a.b=v` flags in order, and checks the result."""
    config = read(spec)
    for flag in overrides:
        name, equals, value = flag.removeprefix("--config.").partition("=")
        if not equals:
            raise UserError(expected=f"--config.{name}=VALUE", found=flag, todo="write the value after an equals sign")
        override(config, name, value)
    return resolve(config)


def read(spec: str) -> ConfigDict:
    """`PATH.py[:ARGUMENT]` -> the ConfigDict of its `get_config`."""
    name, _, argument = spec.partition(":")
    path = find(name)
    module_spec = importlib.util.spec_from_file_location(f"tsjax_config_{path.stem}", path)
    assert module_spec is not None and module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError) as error:
        raise UserError(expected=f"a Python file in {path}", found=str(error), todo="mend the config file") from error
    if not hasattr(module, "get_config"):
        raise UserError(expected=f"get_config(argument) in {path}", found="no such function", todo="add it")
    sizes = getattr(module, "SIZES", None)
    if sizes is not None and argument not in sizes:
        near = difflib.get_close_matches(argument, sizes, 1)
        raise UserError(
            expected=f"one of {', '.join(sizes)} after the colon of {name}", found=repr(argument),
            todo=f"did you mean {name}:{near[0]}?" if near else f"write for example {name}:{next(iter(sizes))}",
        )  # fmt: skip
    if sizes is None and argument:
        raise UserError(expected=f"{name} without an argument", found=repr(argument), todo=f"write {name}")
    return module.get_config(argument)


def find(name: str) -> Path:
    """The file itself, or the one of that name among the configs that come with tsjax."""
    path, shipped = Path(name), Path(__file__).parents[1] / "configs"
    for candidate in (path, shipped / path.name):
        if candidate.is_file() and candidate.suffix == ".py":
            return candidate
    known = sorted(p.name for p in shipped.glob("*.py") if not p.name.startswith("_"))
    raise UserError(
        expected="a config file", found=f"no {name}", todo=f"give a path, or one of configs/{', configs/'.join(known)}"
    )
