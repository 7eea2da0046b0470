"""`tsjax VERB`: parses, calls one function, turns errors into one line and an exit code.

Imports of JAX wait until the verb is known and the environment is set, so that `--help` is quick.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from launch import environment
from tsjax.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INTERRUPTED, EXIT_REQUEUE, UserError
from tsjax.stop import Stop


class Parser(argparse.ArgumentParser):
    """argparse with the project's exit code for a mistake in the command line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def make_parser() -> Parser:
    parser = Parser(prog="tsjax", description="The smallest language model, and the cheapest data, that can do this.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)

    def verb(name: str, what: str, example: str) -> argparse.ArgumentParser:
        return verbs.add_parser(
            name, help=what, description=what, epilog=f"example:\n  {example}", allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip

    p = verb("quickstart", "Write a corpus, train a model on it, read its stories: minutes, on a CPU, offline.",
             "tsjax quickstart")  # fmt: skip
    p.add_argument("--out", type=Path, default=Path("runs/quickstart"), help="run folder; its data go beside it")
    p.add_argument("--stories", type=int, default=20_000, help="size of the corpus (default 20000)")
    p.add_argument("--fresh", action="store_true", help="start over; the old run is kept under another name")

    p = verb("generate", "Write a corpus of documents. For now with the built-in offline writer.",
             "tsjax generate --offline --count 100000 --out data/stories")  # fmt: skip
    p.add_argument(
        "--offline", action="store_true", required=True, help="template writer: no network, no key, no model"
    )
    p.add_argument("--count", type=int, required=True, help="stories to write")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, required=True, help="folder for stories.jsonl.zst and manifest.json")

    p = verb("prepare", "Text or JSONL (also .gz, .zst) to a tokenizer and token shards.",
             "tsjax prepare stories.txt.gz --vocab-size 4096 --out data/stories-4096")  # fmt: skip
    p.add_argument("inputs", type=Path, nargs="+", help="files, or folders of them; text is separated by <|endoftext|>")
    p.add_argument("--out", type=Path, required=True, help="shard folder")
    p.add_argument(
        "--valid", type=Path, nargs="+", default=[], help="validation files (default: a share of the inputs)"
    )
    p.add_argument("--valid-fraction", type=float, default=0.01, help="that share (default 0.01)")
    p.add_argument("--vocab-size", type=int, default=4096, help="pieces of the new tokenizer (default 4096)")
    p.add_argument("--tokenizer", type=Path, help="use this SentencePiece model instead of training one")
    p.add_argument("--text-key", default="text", help="JSONL field with the text (default text)")
    p.add_argument(
        "--workers", type=int, help="encoding threads (default: all cores; the output does not depend on it)"
    )

    p = verb("train", "Train a run, or continue it: resuming is the default.",
             "tsjax train --config=configs/tinystories.py:1m --config.data.path=data/v2 --run runs/1m")  # fmt: skip
    p.add_argument("--config", required=True, help="config file, with its argument after a colon")
    p.add_argument("--config.SECTION.FIELD=VALUE", dest="overrides", action="append", default=[], help="change a field")
    p.add_argument("--run", type=Path, help="run folder (default runs/<config name>)")
    p.add_argument("--fresh", action="store_true", help="start over; the old run is kept under another name")

    p = verb("sample", "Write stories with a trained run.",
             "tsjax sample runs/1m --prompt 'Once upon a time' --temperature 0.8 --count 3")  # fmt: skip
    p.add_argument("run", type=Path, help="run folder")
    p.add_argument("--prompt", action="append", help="beginning of a story (may be given again; default: none)")
    p.add_argument(
        "--prompts", type=Path, help="file of prompts: .json list, .jsonl with a prompt field, or one a line"
    )
    p.add_argument("--count", type=int, default=1, help="stories per prompt (default 1)")
    p.add_argument("--max-new", type=int, default=256, help="new tokens at most (default 256)")
    p.add_argument("--temperature", type=float, default=0.8, help="0 = greedy (default 0.8)")
    p.add_argument("--top-k", type=int, default=0)
    p.add_argument("--top-p", type=float, default=1.0)
    p.add_argument("--min-p", type=float, default=0.0)
    p.add_argument("--seed", type=int, default=0, help="story i of all draws with (seed, i)")
    p.add_argument("--out", type=Path, help="write completions here as JSONL instead of printing them")

    p = verb("eval", "Loss of a trained run over the validation split of a shard folder.",
             "tsjax eval runs/1m --data data/v2")  # fmt: skip
    p.add_argument("run", type=Path, help="run folder")
    p.add_argument("--data", type=Path, help="shard folder (default: the one the run was trained on)")

    verb("doctor", "Devices, versions, memory, and what is missing.", "tsjax doctor")
    return parser


def main(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    parser = make_parser()
    arguments, rest = parser.parse_known_args(argv)
    overrides = [a for a in rest if a.startswith("--config.") and arguments.verb == "train"]
    if bare := [a for a in overrides if "=" not in a]:
        parser.error(f"{bare[0]} needs its value after an equals sign: {bare[0]}=VALUE")
    if unknown := [a for a in rest if a not in overrides]:
        parser.error(f"unknown argument {unknown[0]!r} for {arguments.verb}")
    if arguments.verb in ("quickstart", "train", "sample", "eval"):
        environment.keep_freed_memory()
        environment.compile_cache()
    try:
        code = run_verb(arguments, overrides)
    except UserError as error:
        print(f"tsjax {arguments.verb}: {' '.join(str(error).split())}", file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:  # `tsjax sample ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_DONE
    except OSError as error:  # a folder where a file should be, no permission, a full disk
        print(
            f"tsjax {arguments.verb}: expected a path that can be used; found {error}; choose another", file=sys.stderr
        )
        code = EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print(f"tsjax {arguments.verb}: interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    sys.exit(code)


def run_verb(arguments: argparse.Namespace, overrides: list[str]) -> int:
    match arguments.verb:
        case "quickstart":
            from launch.quickstart import quickstart

            stop = Stop()
            return exit_code(stop, quickstart(arguments.out, arguments.stories, arguments.fresh, stop))
        case "generate":
            from data_gen.offline import write_corpus

            manifest = write_corpus(arguments.out, arguments.count, arguments.seed)
            print(
                f"{manifest['count']:,} stories, {manifest['words']:,} words in {arguments.out} (offline template writer)"
            )
        case "prepare":
            from launch.prepare import prepare

            prepare(arguments)
        case "train":
            stop = Stop().install()
            from launch import config_file

            config = config_file.load(arguments.config, overrides)
            from tsjax.train import train

            folder = arguments.run or Path("runs") / Path(arguments.config).name.replace(".py", "").replace(":", "-")
            result = train(config, folder, fresh=arguments.fresh, stop=stop)
            if result is not None:
                print(f"done: {folder}")
            return exit_code(stop, result)
        case "sample":
            from launch.sample import sample

            sample(arguments)
        case "eval":
            from launch.evaluation import print_loss

            print_loss(arguments.run, arguments.data)
        case "doctor":
            from launch.doctor import doctor

            return doctor()
    return EXIT_DONE


def exit_code(stop: Stop, result: object) -> int:
    """Done, or saved because a signal asked for it."""
    if result is not None:
        return EXIT_DONE
    if stop.signal == signal.SIGINT:
        print("saved; the same command without --fresh continues", file=sys.stderr)
        return EXIT_INTERRUPTED
    print("saved after SIGTERM; the same command without --fresh continues", file=sys.stderr)
    return EXIT_REQUEUE


if __name__ == "__main__":
    main()
