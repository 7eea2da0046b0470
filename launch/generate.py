"""`tsjax generate`: what it will cost, the run, and what can be asked of its folder."""

import argparse
import json
from typing import Any

from launch.ordering import ACTIONS, check_used, order_in, order_of
from tsjax.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError


def generate(arguments: argparse.Namespace) -> int:
    if arguments.offline:
        return offline(arguments)
    if arguments.what is None:
        listed = ", ".join(ACTIONS)
        raise UserError(
            expected=f"a recipe, --offline, or one of {listed}", found="none", todo="see tsjax generate --help"
        )
    if arguments.what in ACTIONS:
        check_used(arguments, arguments.what)
        if arguments.folder is None:
            todo = f"tsjax generate {arguments.what} RUN"
            raise UserError(expected=f"a run folder after {arguments.what}", found="none", todo=todo)
        actions = {"status": status, "resume": resume, "verify": verify, "curate": curate, "push": push}
        return actions[arguments.what](arguments)
    check_used(arguments, "")
    if arguments.folder is not None:
        raise UserError(expected="one recipe", found=f"also {arguments.folder}", todo="give the run folder as --out")
    order = order_of(arguments)
    if looked(arguments, order):
        return EXIT_DONE
    if arguments.out is None:
        raise UserError(expected="--out, the folder of the run", found="none", todo="name a new one")
    from launch.generating import run

    return run(arguments.out, order)


def looked(arguments: argparse.Namespace, order: Any) -> bool:
    """Whether only a look was wanted: --show, --estimate."""
    if arguments.show is not None:
        if arguments.show < 1:
            raise UserError(expected="--show 1 or more", found=str(arguments.show), todo="choose another")
        show(order, arguments.show)
    if arguments.estimate:
        print_estimate(order)
    return arguments.estimate or arguments.show is not None


def offline(arguments: argparse.Namespace) -> int:
    check_used(arguments, "offline")
    if arguments.count is None or arguments.out is None or arguments.what is not None:
        raise UserError(
            expected="tsjax generate --offline --count N --out FOLDER", found="something else",
            todo="for a recipe without network use --backend offline instead",
        )  # fmt: skip
    from data_gen.offline import write_corpus

    manifest = write_corpus(arguments.out, arguments.count, arguments.seed or 0)
    print(f"{manifest['count']:,} stories, {manifest['words']:,} words in {arguments.out} (offline template writer)")
    return EXIT_DONE


def status(arguments: argparse.Namespace) -> int:
    from data_gen.status import lines

    print("\n".join(lines(arguments.folder)))
    return EXIT_DONE


def resume(arguments: argparse.Namespace) -> int:
    from launch.generating import run

    order = order_in(arguments)
    if arguments.results and order.backend != "file":
        raise UserError(
            expected="--results with --backend file", found=f"--backend {order.backend}", todo="leave it out"
        )
    return EXIT_DONE if looked(arguments, order) else run(arguments.folder, order, arguments.results)


def curate(arguments: argparse.Namespace) -> int:
    from data_gen.curate import REPORT
    from data_gen.generation import curate_again
    from data_gen.report import text

    if not curate_again(arguments.folder, order_in(arguments)):
        raise UserError(expected=f"answers in {arguments.folder}", found="fewer than two", todo="generate some first")
    print(text(json.loads((arguments.folder / REPORT).read_bytes())))
    return EXIT_DONE


def verify(arguments: argparse.Namespace) -> int:
    from data_gen import job as jobs
    from data_gen.verify import problems

    found = problems(arguments.folder)
    if jobs.load(arguments.folder)["kind"] == "judging":
        from eval import judge

        found += judge.problems(arguments.folder)
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
