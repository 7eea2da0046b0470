"""The command line of `tsjax generate` -> an order: what is wanted now, or what a run folder was and is to become."""

import argparse
import os
from pathlib import Path
from typing import Any

from tsjax.errors import UserError

EXAMPLE = """tsjax generate tinystories --model gpt-6-luna --target 100000 --estimate
  tsjax generate tinystories --model gpt-6-luna --target 100000 --cap 25 --out data/stories
  tsjax generate my_domain.toml --model local --base-url http://127.0.0.1:8000/v1 --free --target 5000 --out data/mine
  tsjax generate resume data/stories --cap 30
  tsjax generate status data/stories
  tsjax generate --offline --count 100000 --out data/offline"""
ACTIONS = ("status", "resume", "verify", "curate", "push")
DOLLAR = 10**12
# What each action listens to. Anything else on its command line is a mistake, not to be passed over.
ORDER = frozenset({
    "model", "target", "candidates", "seed", "prices", "backend", "base_url", "key_env", "tier", "replay", "models",
    "concurrency", "requests_per_minute", "tokens_per_minute", "enqueued_tokens", "timeout", "valid_fraction", "licence",
    "terms", "against", "cap", "free", "drop_unsupported", "temperature", "effort", "max_output_tokens", "estimate", "show",
})  # fmt: skip
USED = {
    "": ORDER | {"out"},
    "offline": frozenset({"offline", "count", "seed", "out"}),
    "resume": ORDER | {"recipe", "results"},
    "curate": frozenset({"recipe", "target", "valid_fraction", "licence", "terms", "against"}),
    "status": frozenset(),
    "verify": frozenset(),
    "push": frozenset({"repo", "public", "licence"}),
}


def generate_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("what", nargs="?", help="a recipe (tinystories, tinystories_instruct, tinychat, simple_stories, "
                   f"support_calls, or a path that ends in .toml), or one of {', '.join(ACTIONS)}")  # fmt: skip
    p.add_argument("folder", nargs="?", type=Path, help=f"the run folder, after {', '.join(ACTIONS)}")
    p.add_argument("--out", type=Path, help="run folder of a new run, or of one to continue")
    p.add_argument("--model", help="as the server calls it")
    p.add_argument("--target", type=int, help="accepted documents wanted")
    p.add_argument("--candidates", type=int, help="documents asked for at most (default twice the target)")
    p.add_argument("--seed", type=int, help="of what is drawn for each document (default 0)")
    p.add_argument(
        "--offline", action="store_true", help="the template writer's own corpus: no recipe, network, key, model"
    )
    p.add_argument("--count", type=int, help="stories of --offline")

    p.add_argument(
        "--recipe", help="with resume and curate: the recipe from elsewhere than before; its checks may have changed"
    )

    g = p.add_argument_group("money")
    g.add_argument("--estimate", action="store_true", help="requests, tokens and cost; nothing is sent or written")
    g.add_argument("--show", type=int, metavar="N", help="print the first N requests; nothing is sent or written")
    g.add_argument(
        "--cap", type=float, metavar="USD", help="never spend more, doubtful calls and answers on their way included"
    )
    g.add_argument(
        "--prices", type=Path, help="TOML with prices of your own (default $TSJAX_PRICES, else the dated table)"
    )
    g.add_argument("--free", action=argparse.BooleanOptionalAction, help="the server costs nothing")

    g = p.add_argument_group("where the answers come from")
    g.add_argument("--backend", help="chat (default), responses, batch (half the price, within a day), file (for "
                   "vllm run-batch), replay, offline")  # fmt: skip
    g.add_argument("--base-url", help="an OpenAI-compatible server (default $OPENAI_BASE_URL, else OpenAI's)")
    g.add_argument("--key-env", metavar="NAME", help="environment variable with the key (default OPENAI_API_KEY; with "
                   "--base-url none)")  # fmt: skip
    g.add_argument("--tier", choices=("standard", "flex"), help="flex: half the price, when there is room")
    g.add_argument(
        "--replay", type=Path, metavar="RUN", help="the run folder whose answers --backend replay gives again"
    )
    g.add_argument(
        "--models", type=Path, help="TOML with what your models take (default $TSJAX_MODELS, else the bundled table)"
    )
    g.add_argument("--results", type=Path, nargs="+", default=[], help="with resume, for --backend file: result files "
                   "that are not where the command put them")  # fmt: skip
    g.add_argument("--temperature", type=float, help="instead of the recipe's")
    g.add_argument("--effort", help="of reasoning, instead of the recipe's")
    g.add_argument("--max-output-tokens", type=int, help="instead of the recipe's")
    g.add_argument(
        "--drop-unsupported", action="store_true", help="leave out parameters the model refuses, rather than stop"
    )
    g.add_argument("--concurrency", type=int, help="calls at once, at most (default 128)")
    g.add_argument("--requests-per-minute", type=int, help="a limit of yours, besides what the server tells")
    g.add_argument("--tokens-per-minute", type=int)
    g.add_argument("--enqueued-tokens", type=int, help="of your tier, for --backend batch")
    g.add_argument("--timeout", type=float, help="seconds for one answer (default 120; flex 900)")

    g = p.add_argument_group("the documents")
    g.add_argument("--valid-fraction", type=float, help="share for validation (default 0.01)")
    g.add_argument("--against", type=Path, nargs="+", default=[], help="corpora whose documents, and copies of them, are "
                   "left out")  # fmt: skip
    g.add_argument("--licence", help="of the data set, for its card; never assumed")
    g.add_argument("--terms", help="a note on the vendor's terms, for its card")
    g.add_argument("--repo", help="OWNER/NAME on the Hugging Face Hub, for push")
    g.add_argument("--public", action="store_true", help="push to a public repository")


def check_used(arguments: argparse.Namespace, action: str) -> None:
    """UserError for an option that this action would pass over."""
    given = [name for name, value in vars(arguments).items() if not (value is None or value is False or value == [])]
    unused = sorted(set(given) - USED[action] - {"verb", "what", "folder"})
    if unused:
        what = "--offline" if action == "offline" else action or "a new run"
        takes = ", ".join(_option(name) for name in sorted(USED[action])) or "nothing more"
        raise UserError(expected=f"options of {what}: {takes}", found=_option(unused[0]), todo="leave it out")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def order_of(arguments: argparse.Namespace) -> Any:
    """The order of a new run."""
    from data_gen.job import ASKING
    from data_gen.order import Order, load
    from data_gen.recipe import load as load_recipe

    given = changes(arguments)
    if arguments.backend == "offline":
        given.setdefault("model", "offline-writer")
    elif arguments.backend == "replay" and arguments.replay:
        given.setdefault("model", load(arguments.replay)["model"])
    if missing := " and no ".join(name for name in ("target", "model") if name not in given):
        raise UserError(expected="--model and --target", found=f"no {missing}", todo="see tsjax generate --help")
    url = os.environ.get("OPENAI_BASE_URL")
    if url and "base_url" not in given and given.get("backend", "chat") in ASKING:
        given["base_url"] = url  # kept with the run: it goes on at the same server, from any shell
        if "OPENAI_API_KEY" in os.environ:
            given.setdefault("key_env", "OPENAI_API_KEY")
    return Order(
        recipe=load_recipe(arguments.what), source=source_of(arguments.what), overrides=overrides(arguments), **given
    )


def order_in(arguments: argparse.Namespace) -> Any:
    """The order of the run folder, with what the command line changes; its recipe as the file says now."""
    from data_gen.order import Order, load
    from data_gen.recipe import load as load_recipe

    manifest, given = load(arguments.folder), changes(arguments)
    if arguments.recipe:
        given |= {"recipe": load_recipe(arguments.recipe), "source": source_of(arguments.recipe)}
    if added := overrides(arguments):
        given["overrides"] = {**manifest["order"]["overrides"], **added}
    order = Order.of(manifest, **given)
    order.check(manifest, arguments.folder)
    return order


def source_of(recipe: str) -> str:
    """A recipe's name, or its path from anywhere."""
    return str(Path(recipe).absolute()) if recipe.endswith(".toml") else recipe


def changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of an order that the command line names; paths are absolute, since a run goes on from anywhere."""
    names = ("model", "target", "candidates", "seed", "backend", "base_url", "key_env", "tier", "concurrency",
             "requests_per_minute", "tokens_per_minute", "enqueued_tokens", "timeout", "valid_fraction", "licence", "terms",
             "free")  # fmt: skip
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    given |= {name: path.absolute() for name in ("prices", "models", "replay") if (path := getattr(arguments, name))}
    if arguments.against:
        given["against"] = tuple(str(path.absolute()) for path in arguments.against)
    if arguments.cap is not None:
        if not 0 <= arguments.cap < 1e6:
            raise UserError(expected="a cap in USD", found=str(arguments.cap), todo="choose another, such as --cap 5")
        given["cap"] = round(arguments.cap * DOLLAR)
    if arguments.drop_unsupported:
        given["strict"] = False
    if arguments.tier == "flex":
        if arguments.backend == "batch":
            raise UserError(
                expected="--tier flex, or --backend batch, which has a price of its own",
                found="both",
                todo="choose one",
            )
        given.setdefault("timeout", 900.0)
    return given


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("temperature", "effort", "max_output_tokens")
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}
