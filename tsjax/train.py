"""The training loop, read from top to bottom: mesh, data, model, optimizer, restore, loop."""

import dataclasses
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tsjax import flops, loader, units
from tsjax.atomic import write_json
from tsjax.attention import choose
from tsjax.checkpoint import Checkpoints
from tsjax.config import Config
from tsjax.corpus import SPLITS
from tsjax.errors import Diverged, UserError
from tsjax.evaluate import evaluate
from tsjax.feed import make_feed
from tsjax.hosts import StopTogether, leads, led
from tsjax.metrics import Display, JsonLines, Pace, TensorBoard
from tsjax.optimizer import make_optimizer, make_schedule
from tsjax.rows import eval_row, progress_text, speed_row, train_row
from tsjax.run import Run, environment
from tsjax.samples import check_prompts, sample_rows
from tsjax.sharding import check_batch, host_rows, make_mesh, on_one_device, replicated, shardings
from tsjax.shards import Shards, open_shards
from tsjax.step import eval_params, init_state, make_dispatch, make_eval_step, make_train_step
from tsjax.stop import Stop
from tsjax.timetable import Timetable, make_timetable

IN_FLIGHT = 2  # dispatches not finished yet: enough that the device never waits for the host


def train(
    config: Config, folder: Path, *, fresh: bool = False, stop: Stop | None = None, quiet: bool = False
) -> dict[str, Any] | None:
    """Trains, or continues, the run in `folder`; returns its result, or None when `stop` ended it early (all saved).

    The same config, data and seeds give the same metrics.jsonl, bit for bit, however often the run is stopped or
    killed on the way. Raises UserError for a bad config or data, Diverged when the loss stops being a number.
    """

    # ---- mesh and data
    mesh = make_mesh(config.mesh)
    stopping = StopTogether(Stop() if stop is None else stop, IN_FLIGHT)
    shards = open_shards(Path(config.data.path))
    tokenizer = shards.tokenizer()
    config = fit_to_data(config, shards)
    kernel, why = choose(config.model)
    for warning in shards.manifest["warnings"]:
        print(f"warning: {shards.folder}: {warning}")
    check_batch(mesh, config.train.batch_size // config.train.accumulate, "config.train.batch_size / accumulate")
    check_batch(mesh, config.eval.batch_size, "config.eval.batch_size")
    check_prompts(config, tokenizer)
    rows, valid_rows = (loader.make_rows(shards, split, config.model.context, config.data) for split in SPLITS)
    text_bytes = shards.bytes("valid") if config.data.loss == "all" else None
    tokens_per_step = config.train.batch_size * config.model.context
    flops_per_step = flops.count_flops(config.model).exact * tokens_per_step
    rates = units.Rates(tokens_per_step, config.train.batch_size, len(rows), flops_per_step)

    # ---- run folder, and durations in steps from here on: derived once, kept in the manifest for every resume
    run = Run(folder)
    known = led(lambda: look_up(run, config, shards, fresh))
    if known and known["result"]:
        return known["result"]
    if not known and units.parse(config.train.duration)[1] == "minutes":
        seconds = measure_step(config, rows, mesh)
        rates = dataclasses.replace(rates, seconds_per_step=led(lambda: seconds))
    derived = known["derived"] if known else led(lambda: begin(run, config, shards, rates, fresh))
    led(lambda: tokenizer.save(run / tokenizer.file))
    timetable = Timetable(**{f.name: derived[f.name] for f in dataclasses.fields(Timetable)})
    total = timetable.steps
    rates = dataclasses.replace(rates, total_steps=total, seconds_per_step=derived["seconds_per_step"])

    # ---- model and optimizer
    schedule = make_schedule(config.optimizer, rates)
    optimizer = make_optimizer(config.optimizer, schedule)
    train_step = make_train_step(config, optimizer, schedule)
    eval_step = make_eval_step(config, replicated(mesh))
    shapes = jax.eval_shape(lambda: init_state(config, optimizer))
    placed = shardings(mesh, shapes)
    initial = jax.jit(lambda: init_state(config, optimizer), out_shardings=placed)

    # ---- restore
    checkpoints = Checkpoints(run.checkpoints, config.checkpoint, owner=True)
    abstract = jax.tree.map(lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), shapes, placed)
    restored = checkpoints.restore(abstract)
    state, step = (restored[0], restored[1]["step"]) if restored else (initial(), 0)
    saved_at: int | None = step if restored else None
    # A follower has the rows of the leader: it writes them where nobody looks.
    scratch = None if leads() else tempfile.TemporaryDirectory()
    own = run if scratch is None else Run(Path(scratch.name))
    metrics, samples = JsonLines(own / "metrics.jsonl"), JsonLines(own / "samples.jsonl")
    # A checkpoint is taken after the training row of its step and before the evaluation and samples of that step.
    metrics.rewind(lambda row: row["step"] < step or (row["step"] == step and row["kind"] == "train"))
    samples.rewind(lambda row: row["step"] < step)
    speed, board = JsonLines(own / "speed.jsonl"), TensorBoard(own / "tensorboard", step)
    source = loader.ShuffledBatches(
        rows, config.train.batch_size, config.data.seed, total, host_rows(mesh, config.train.batch_size)
    )
    feed = make_feed(config.data.resident, rows, source, mesh, step)
    dispatch = make_dispatch(train_step, feed, (placed, replicated(mesh)))

    # ---- loop
    parameters = flops.count_parameters(config.model).total
    peak = flops.peak_flops(jax.devices()[0].device_kind)
    fingerprint = shards.fingerprint[:12]
    pace, in_flight, compiled = Pace(), deque[jax.Array](), set[int]()
    pending = deque[tuple[int, dict[str, jax.Array]]]()  # steps before a dispatch, and the metrics [K] of its own
    last_eval: dict[str, Any] = {}
    with Display(total, step, quiet or not leads()) as display:
        display.say(f"{parameters:,} parameters, {total:,} steps of {tokens_per_step:,} tokens, "
                    f"{len(rows) / config.train.batch_size:,.1f} steps an epoch")  # fmt: skip
        display.say(f"attention kernel {kernel}: {why}")
        if step:
            display.say(f"continuing from step {step}")

        def logs(at: int) -> bool:
            return at % config.train.log_every == 0 or at == total

        def write_pending() -> None:
            """Writes the rows whose steps are done, and stops a run that diverged."""
            while pending:
                before, on_device = pending.popleft()
                metrics_K = {name: np.asarray(values).tolist() for name, values in on_device.items()}
                logged = [at for at in range(before + 1, before + 1 + len(metrics_K["loss"])) if logs(at)]
                for at in logged:
                    values = {name: values[at - before - 1] for name, values in metrics_K.items()}
                    row = train_row(at, values, rates, fingerprint)
                    metrics.write(row)
                    board.write(row, "train")
                    check_finite(config, row, checkpoints)
                steps_per_second = pace.read(at)
                rate = speed_row(at, steps_per_second, tokens_per_step, flops_per_step, peak)
                if rate:
                    speed.write(rate)
                eta = (total - at) / steps_per_second if steps_per_second else None
                display.update(at, progress_text(row, last_eval, rate, eta))

        def save() -> None:
            nonlocal saved_at
            write_pending()
            if saved_at != step:
                metrics.sync()
                meta = {"step": step, "data": shards.fingerprint, "tokenizer": tokenizer.fingerprint}
                checkpoints.save(step, state, meta)
                saved_at = step
                pace.pause()

        while True:
            if timetable.saves(step):
                save()
            if timetable.evaluates(step) and not stopping:
                write_pending()
                found = evaluate(
                    eval_params(state), eval_step, valid_rows, text_bytes=text_bytes, mesh=mesh,
                    documents=shards.documents_count("valid"), batch_size=config.eval.batch_size,
                    stopped=lambda: bool(stopping),
                )  # fmt: skip
                if found is not None:
                    last_eval = eval_row(step, found, config, rates, fingerprint)
                    metrics.write(last_eval)
                    board.write(last_eval, "valid")
                    display.say(f"step {step}: validation {found}")
                pace.pause()
            if timetable.samples(step) and not stopping:
                for row in sample_rows(step, config, on_one_device(mesh, eval_params(state)), tokenizer):
                    samples.write(row)
                    display.say(f"  | {row['prompt']}{row['text']}".replace("\n", " "))
                pace.pause()
            if step == total or stopping:
                save()  # whatever the config says: a finished run has its weights, a stopped one loses nothing
                break
            length = timetable.dispatch(step, config.train.steps_per_dispatch)
            state, on_device = dispatch(state, feed.tables, feed.take(length))
            if length not in compiled:
                compiled.add(length)
                pace.pause()
            write_pending()  # rows of the dispatch before: the device is already at work on this one
            in_flight.append(on_device["loss"])
            if len(in_flight) > IN_FLIGHT:
                in_flight.popleft().block_until_ready()
            if any(map(logs, range(step + 1, step + 1 + length))):
                pending.append((step, on_device))
            step += length
            stopping.ask()

    # ---- end
    checkpoints.close()
    for file in (metrics, samples, speed, board):
        file.close()
    if stopping:
        return None
    result = {"steps": total, "parameters": parameters} | {
        k: v for k, v in last_eval.items() if k not in ("kind", "step")
    }
    led(lambda: write_json(run.result_file, result))
    return result


def fit_to_data(config: Config, shards: Shards) -> Config:
    """Fills in model.vocab_size, or checks it."""
    wanted, found = config.model.vocab_size, shards.vocab_size
    if wanted not in (0, found):
        raise UserError(
            expected=f"shards of a {wanted:,}-piece tokenizer (config.model.vocab_size)",
            found=f"{found:,} pieces in {shards.folder}",
            todo=f"pass --config.model.vocab_size={found}, or prepare with --vocab-size={wanted}",
        )  # fmt: skip
    return dataclasses.replace(config, model=dataclasses.replace(config.model, vocab_size=found))


def look_up(run: Run, config: Config, shards: Shards, fresh: bool) -> dict[str, Any] | None:
    """Locks the run; what its manifest derived, and its result once complete. None when it has yet to begin."""
    run.lock()
    if fresh or not run.exists:
        return None
    run.check_same(config, shards.fingerprint)
    if run.result_file.exists():
        print(f"{run.folder} is complete; --fresh starts it over")
        return {"result": run.result()}
    return {"result": None, "derived": run.manifest()["derived"]}


def begin(run: Run, config: Config, shards: Shards, rates: units.Rates, fresh: bool) -> dict[str, Any]:
    """Makes the folder a run; returns what its manifest derived."""
    derived = derive(config, rates)
    # Only now, when nothing in config and data can be wrong any more, is an old run touched.
    if fresh and (aside := run.set_aside()):
        print(f"--fresh: the old run is kept as {aside}")
    run.start(config, new_manifest(config, shards, derived))
    return derived


def derive(config: Config, rates: units.Rates) -> dict[str, Any]:
    """What the config means in steps, for the manifest."""
    table = make_timetable(config, rates)
    make_schedule(config.optimizer, dataclasses.replace(rates, total_steps=table.steps))  # its durations must be good
    return dataclasses.asdict(table) | {
        "seconds_per_step": rates.seconds_per_step,
        "tokens_per_step": rates.tokens_per_step,
        "epochs": table.steps * rates.examples_per_step / (rates.examples_per_epoch or 1),
    }


def new_manifest(config: Config, shards: Shards, derived: dict[str, Any]) -> dict[str, Any]:
    """What the run began with."""
    parameters = flops.count_parameters(config.model)
    return {
        "kind": "run",
        **environment(),
        "data": {"fingerprint": shards.fingerprint, "tokenizer": shards.manifest["tokenizer"]},
        "parameters": {"total": parameters.total, **dataclasses.asdict(parameters)},
        "flops_per_token": dataclasses.asdict(flops.count_flops(config.model)),
        "derived": derived,
    }


def measure_step(config: Config, rows: loader.Rows, mesh) -> float:
    """Seconds per optimizer step here, compile time left out: the median of a few steps of a throwaway model."""

    def schedule(step: jax.Array) -> jax.Array:
        return jnp.full((), config.optimizer.learning_rate)

    optimizer = make_optimizer(config.optimizer, schedule)
    state = jax.jit(lambda: init_state(config, optimizer), out_shardings=replicated(mesh))()
    length, times = config.train.steps_per_dispatch, 12
    share = host_rows(mesh, config.train.batch_size)
    source = loader.ShuffledBatches(rows, config.train.batch_size, config.data.seed, length * times, share)
    feed = make_feed(config.data.resident, rows, source, mesh, 0)
    dispatch = make_dispatch(make_train_step(config, optimizer, schedule), feed)
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        state, metrics = dispatch(state, feed.tables, feed.take(length))
        jax.block_until_ready(metrics)
        seconds.append((time.perf_counter() - begin) / length)
    found = float(np.median(seconds[2:]))
    print(f"a step takes {found * 1e3:.0f} ms here: {config.train.duration} are counted in steps of that")
    return found


def check_finite(config: Config, row: dict[str, Any], checkpoints: Checkpoints) -> None:
    """The NaN policy. Updates that are not finite were left out by the step itself, so the state is still good."""
    train = config.train
    if (train.on_nonfinite == "stop" and row["skipped"]) or row["skips_in_a_row"] >= train.max_skips:
        checkpoints.close()
        raise Diverged(
            expected="a finite loss and gradient", found=f"NaN or infinity at or before step {row['step']}",
            todo="lower config.optimizer.learning_rate or lengthen config.optimizer.warmup, and start with --fresh "
            f"(checkpoints kept: {', '.join(map(str, checkpoints.steps())) or 'none'})",
        )  # fmt: skip
