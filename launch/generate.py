"""`tsjax generate`: what it will cost, the run, and what can be asked of its folder."""

import argparse
import json
from pathlib import Path
from typing import Any

from tsjax.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError

EXAMPLE = """tsjax generate tinystories --model gpt-6-luna --target 100000 --estimate
  tsjax generate tinystories --model gpt-6-luna --target 100000 --cap 25 --out data/stories
  tsjax generate my_domain.toml --model local --base-url http://127.0.0.1:8000/v1 --free --target 5000 --out data/mine
  tsjax generate resume data/stories --cap 30
  tsjax generate status data/stories
  tsjax generate --offline --count 100000 --out data/offline"""
ACTIONS = ("status", "resume", "verify", "curate", "push")
DOLLAR = 10**12


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
    g.add_argument("--free", action="store_true", help="the server costs nothing")

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
    g.add_argument("--licence", help="of the data set, for its card; never assumed")
    g.add_argument("--terms", help="a note on the vendor's terms, for its card")
    g.add_argument("--repo", help="OWNER/NAME on the Hugging Face Hub, for push")
    g.add_argument("--public", action="store_true", help="push to a public repository")


def generate(arguments: argparse.Namespace) -> int:
    if arguments.offline:
        return offline(arguments)
    if arguments.what is None:
        raise UserError(
            expected="a recipe, --offline, or one of " + ", ".join(ACTIONS),
            found="none",
            todo="see tsjax generate --help",
        )
    if arguments.what in ACTIONS:
        if arguments.folder is None:
            raise UserError(
                expected=f"a run folder after {arguments.what}",
                found="none",
                todo=f"tsjax generate {arguments.what} RUN",
            )
        return {"status": status, "resume": resume, "verify": verify, "curate": curate, "push": push}[arguments.what](
            arguments
        )
    if arguments.folder is not None:
        raise UserError(expected="one recipe", found=f"also {arguments.folder}", todo="give the run folder as --out")
    order = order_of(arguments)
    if arguments.estimate or arguments.show:
        if arguments.show:
            show(order, arguments.show)
        if arguments.estimate:
            print_estimate(order)
        return EXIT_DONE
    if arguments.out is None:
        raise UserError(expected="--out, the folder of the run", found="none", todo="name a new one")
    from launch.generating import run

    return run(arguments.out, order)


def offline(arguments: argparse.Namespace) -> int:
    if arguments.count is None or arguments.out is None or arguments.what is not None:
        raise UserError(
            expected="tsjax generate --offline --count N --out FOLDER", found="something else",
            todo="for a recipe without network use --backend offline instead",
        )  # fmt: skip
    from data_gen.offline import write_corpus

    manifest = write_corpus(arguments.out, arguments.count, arguments.seed or 0)
    print(f"{manifest['count']:,} stories, {manifest['words']:,} words in {arguments.out} (offline template writer)")
    return EXIT_DONE


def order_of(arguments: argparse.Namespace) -> Any:
    from data_gen.order import Order
    from data_gen.recipe import load

    free = arguments.backend in ("offline", "replay")
    if arguments.target is None or (arguments.model is None and not free):
        missing = " and ".join(name for name in ("target", "model") if getattr(arguments, name) is None)
        raise UserError(expected="--model and --target", found=f"no {missing}", todo="see tsjax generate --help")
    given = changes(arguments)
    given["overrides"] = overrides(arguments)
    return Order(recipe=load(arguments.what), source=arguments.what, **{"model": "offline-writer", **given})


def changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of an order that the command line names."""
    names = ("model", "target", "candidates", "seed", "prices", "backend", "base_url", "key_env", "tier", "replay", "models",
             "concurrency", "requests_per_minute", "tokens_per_minute", "enqueued_tokens", "timeout", "valid_fraction",
             "licence", "terms")  # fmt: skip
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.cap is not None:
        if not 0 <= arguments.cap < 1e6:
            raise UserError(expected="a cap in USD", found=str(arguments.cap), todo="choose another, such as --cap 5")
        given["cap"] = round(arguments.cap * DOLLAR)
    if arguments.free:
        given["free"] = True
    if arguments.drop_unsupported:
        given["strict"] = False
    if arguments.tier == "flex" and arguments.timeout is None:
        given["timeout"] = 900.0
    return given


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("temperature", "effort", "max_output_tokens")
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def status(arguments: argparse.Namespace) -> int:
    from data_gen.status import lines

    print("\n".join(lines(arguments.folder)))
    return EXIT_DONE


def resume(arguments: argparse.Namespace) -> int:
    from launch.generating import run

    return run(arguments.folder, order_in(arguments), arguments.results)


def order_in(arguments: argparse.Namespace) -> Any:
    """The order of the run folder, with what the command line changes; its recipe as the file says now."""
    from data_gen.order import Order, load
    from data_gen.recipe import load as load_recipe

    manifest, given = load(arguments.folder), changes(arguments)
    if arguments.recipe:
        given |= {"recipe": load_recipe(arguments.recipe), "source": arguments.recipe}
    if added := overrides(arguments):
        given["overrides"] = {**manifest["order"]["overrides"], **added}
    order = Order.of(manifest, **given)
    order.check(manifest, arguments.folder)
    return order


def curate(arguments: argparse.Namespace) -> int:
    from data_gen.curate import REPORT
    from data_gen.generation import curated
    from data_gen.report import text

    count = curated(arguments.folder, order_in(arguments))
    if not count:
        raise UserError(expected=f"answers in {arguments.folder}", found="fewer than two", todo="generate some first")
    print(text(json.loads((arguments.folder / REPORT).read_bytes())))
    return EXIT_DONE


def verify(arguments: argparse.Namespace) -> int:
    from data_gen.verify import problems

    found = problems(arguments.folder)
    print("\n".join(found) if found else f"{arguments.folder} is sound: sums, raw answers, ledger")
    return EXIT_BAD_INPUT if found else EXIT_DONE


def push(arguments: argparse.Namespace) -> int:
    from data_gen.push import push as send

    if not arguments.repo:
        raise UserError(expected="--repo OWNER/NAME", found="none", todo="name the repository to push to")
    print(
        f"pushed to {send(arguments.folder, arguments.repo, private=not arguments.public, licence=arguments.licence)}"
    )
    return EXIT_DONE


def show(order: Any, count: int) -> None:
    """The first requests, as the model will read them."""
    from data_gen.estimate import shown

    for request, factors in shown(order.recipe, order, count):
        drawn = ", ".join(
            f"{name} {value if isinstance(value, str) else ' + '.join(value)}" for name, value in factors.items()
        )
        print(f"--- document {request.index}: {drawn}")
        for message in request.messages:
            print(f"[{message['role']}]\n{message['content']}")


def print_estimate(order: Any) -> None:
    from data_gen.estimate import estimate
    from data_gen.prices import dollars

    price, table = order.price, order.price_table
    found = estimate(order, price)
    rate = f"{dollars(price.input * 10**6)} in, {dollars(price.output * 10**6)} out per million tokens"
    rows = [
        ("recipe", f"{order.recipe.name}: {order.recipe.about}"),
        ("requests", f"{found.requests:,} if every answer is good, {found.most_requests:,} at most (--candidates)"),
        ("combinations", f"{found.space:,} before one comes again"),
        ("input", f"about {found.input_tokens:,} tokens"),
        ("output", f"about {found.output_tokens:,} tokens, {found.most_output_tokens:,} at most"),
        ("price", f"{order.model}, {price.tier}: {rate} (table of {table.date})"),
        (
            "cost",
            f"likely {dollars(found.likely)}, from {dollars(found.low)} to {dollars(found.high)}, if every answer is good",
        ),
        ("worst case", f"{dollars(found.worst)}: all candidates asked, every answer as long as its limit"),
    ]
    for name, value in rows:
        print(f"{name:13} {value}")
    if found.rendered < found.requests:
        print(f"({found.rendered:,} requests were rendered, spread over the run; the rest is taken as like them)")
