"""Make the videos of a protocol with the ordinary pipeline."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from ex4d_core.cameras.language import cam_of_file
from ex4d_core.config import RunConfig, Tree, make_config, merge, write_config
from ex4d_core.errors import Ex4dError, InvalidConfig, InvalidInput
from ex4d_core.files import atomic_write
from ex4d_core.jobs.shards import Shard
from ex4d_core.names import safe_name, text_hash
from ex4d_core.pipeline.records import Record
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.store import content_key
from ex4d_core.progress import Reporter, SilentReporter
from ex4d_core.reading import parse_toml
from ex4d_core.runs.export import export
from ex4d_core.types import DepthKind, Video
from ex4d_core.video_io import write_video
from ex4d_evaluation.datasets._record import Sampling
from ex4d_evaluation.layout import GEOMETRY, KEYS, MANIFEST, OF_SEED, SOURCE, guidance_keys
from ex4d_evaluation.protocols import Plan, Protocol, plans_of
from ex4d_evaluation.truth import prepare_view

RUNS, STAGING, RESULTS, CASES = "runs", "staging", "results", "cases"
RENDERED = Sampling(num_frames=25, size=(256, 256))
"""Default size of rendered scenes."""


@attrs.frozen(kw_only=True)
class Made:
    """The outcome of a run."""

    folder: Path
    method: str
    done: tuple[str, ...]
    """Names of the cases, with the seed if there are several."""
    failed: Mapping[str, str]
    """By case, one sentence."""


def run_case(session: Session, config: RunConfig, plan: Plan, folder: Path, method: str) -> None:
    """Run a case and copy its outputs to the evaluation folder."""
    clip = plan.name.rpartition("__")[0]
    run_folder = folder / RUNS / f"{clip}-{text_hash(str(plan.source))[:8]}"
    clip_run = session.open_clip(plan.source, folder=run_folder)
    if plan.view is not None and plan.view.depth is None and clip_run.estimated_depth.kind is not DepthKind.METRIC:
        raise no_scale(plan.view.clip)
    path_run = clip_run.along(config.cam[0])
    store_outputs(export(path_run).files, folder, plan.name, method, content_key(path_run.guidance_inputs))
    write_source(clip_run.video, folder / CASES / plan.name)


def make_videos(
    data: str | Path,
    folder: str | Path,
    *,
    protocol: Protocol,
    config: RunConfig | None = None,
    method: str | None = None,
    data_set: str | None = None,
    seeds: int = 1,
    shard: Shard | None = None,
    reporter: Reporter | None = None,
    run: Callable[[Session, RunConfig, Plan, Path, str], None] = run_case,
) -> Made:
    """Run every case of a protocol and store its results in an evaluation folder; finished work is reused.

    Args:
        data: folder of clips for `ranges`, of a data set for `truth`, or the name `synthetic`.
        folder: the evaluation folder.
        protocol: `ranges` or `truth`.
        config: of the runs; `cam` is ignored.
        method: name of the results, by default that of the backbone.
        data_set: name of the data set; by default it is recognized.
        seeds: number of seeds, counted from that of the config; the results of several are in METHOD@SEED.
        shard: part of the clips to run, by default all.
        reporter: receives progress and messages; silent by default.
        run: called with session, configuration of the case, case, evaluation folder, and folder of the results.

    Raises:
        InputNotFound: the data do not exist.
        InvalidInput: the data cannot be read.
        ComponentNotFound: the backbone or the depth estimator is not installed.
        InvalidConfig: an option is invalid, or the folder belongs to another protocol or other data.
        OutputFailed: the folder cannot be written to.
    """
    data, folder, config = Path(data), Path(folder), config or RunConfig()
    session = Session(config, reporter=reporter or SilentReporter())
    method = safe_name(method or session.choose("backbone").offer.name)
    if method in (GEOMETRY, SOURCE) or OF_SEED in method:
        raise InvalidConfig(f"{method!r} cannot be the name of a method; choose another --method")
    variants = _of_seeds(session, method, seeds)
    plans = plans_of(data, protocol, staging=folder / STAGING, sampling=_sampling(config), name=data_set)
    _check(session, plans)
    for results, own in variants.items():
        _write_manifest(folder, data, protocol, own, results, plans, session.reporter.warn)
    done, failed = [], {}
    for plan, (results, own) in itertools.product(
        (shard or Shard()).of(plans, group=lambda plan: plan.source), variants.items()
    ):
        name = plan.name if len(variants) == 1 else f"{plan.name}{OF_SEED}{own.seed}"
        session.reporter.note(name)
        try:
            case = case_config(session, own, plan, folder / CASES / plan.name)
            session = _with(session, own if plan.view is None else case)
            run(session, case, plan, folder, results)
            done.append(name)
        except Ex4dError as error:  # the other cases are run
            failed[name] = str(error)
            session.reporter.note(f"failed: {error}")
    return Made(folder=folder, method=method, done=tuple(done), failed=failed)


def _check(session: Session, plans: Sequence[Plan]) -> None:
    """Refuse wrong names and options of components that the cases use, before any of them is run."""
    if any(plan.view is None or plan.view.depth is None for plan in plans):
        session.choose("depth")
    for role in ("mesh", "renderer"):
        session.choose(role)


def _with(session: Session, options: RunConfig) -> Session:
    """Return a session with other options; models that they do not change are shared, and others are dropped."""
    return session if session.config == options else session.changed(options)


def _of_seeds(session: Session, method: str, count: int) -> dict[str, RunConfig]:
    """Return the configuration of each seed by the folder of its results."""
    backbone = session.choose("backbone").offer
    if count > 1 and "seed" in backbone.spec.ignores:
        session.reporter.warn(f"the backbone {backbone.name!r} does not read the seed, so one is run")
        count = 1
    if count == 1:
        return {method: session.config}
    seeds = range(session.config.seed, session.config.seed + count)
    return {f"{method}{OF_SEED}{seed}": attrs.evolve(session.config, seed=seed) for seed in seeds}


def _sampling(config: RunConfig) -> Sampling:
    width, _, height = (config.video.size or "").partition("x")
    is_size = width.isdecimal() and height.isdecimal()
    return Sampling(
        num_frames=config.video.num_frames or RENDERED.num_frames,
        size=(int(width), int(height)) if is_size else RENDERED.size,
    )


def case_config(session: Session, config: RunConfig, plan: Plan, case: Path) -> RunConfig:
    """Write the truth and the cameras of a case, and return the configuration of the run that makes its video.

    Args:
        session: reads the clip.
        config: options of all cases.
        plan: the case.
        case: folder of its truth and cameras.

    Raises:
        InputNotFound: a file of the data does not exist.
        InvalidInput: the data cannot be read.
    """
    if plan.view is None:
        return attrs.evolve(config, clips=(str(plan.source),), cam=(plan.cam,), cam_folder="")
    tables = parse_toml(write_config(config))
    prepared = prepare_view(plan.view, session.open_clip(plan.source).video, case, config.video)
    own: Tree = {
        "clips": [str(plan.source)],
        "cam": [cam_of_file(prepared.target_cameras.absolute())],
        "lens": prepared.lens,
        "path": {"source_cameras": str(prepared.source_cameras)},
    }
    if plan.view.depth is not None:
        tables.pop("depth", None)
        own["depth"] = plan.view.depth
    if plan.view.prompt and not config.prompt:
        own["prompt"] = plan.view.prompt
    return make_config(merge(tables, own))


def no_scale(clip: str) -> InvalidInput:
    """Return the error of a clip whose depth does not have the unit of the poses of its data set."""
    return InvalidInput(
        f"the depth of {clip} has no scale, but the poses of the data set do, so its views would not fit; use metric "
        "depth, such as --depth da3 --set depth.metric=true"
    )


def store_outputs(files: Mapping[str, Path], folder: Path, case: str, method: str, guidance_key: str) -> None:
    """Copy the outputs of a run to the evaluation folder.

    Args:
        files: `result`, `color`, `mask` and `camera`.
        folder: the evaluation folder.
        case: name of the case.
        method: folder of the results.
        guidance_key: key of the guidance, by which methods with other guidance are found.

    Raises:
        OutputFailed: the folder cannot be written to.
    """
    _copy(files["result"], folder / RESULTS / method / f"{case}.mp4")
    _copy(files["color"], folder / RESULTS / GEOMETRY / f"{case}.mp4")
    _copy(files["mask"], folder / CASES / case / "known.mp4")
    _copy(files["camera"], folder / CASES / case / "camera.npz")
    keys = {name: key for name, key in guidance_keys(folder / CASES / case).items() if name != method}
    with atomic_write(folder / CASES / case / KEYS) as temporary:
        temporary.write_text(json.dumps({**keys, method: guidance_key}))


def write_source(video: Video, case: Path) -> None:
    """Write the source clip of a case, unless it exists."""
    if not (case / "source.mp4").exists():
        write_video(video, case / "source.mp4")


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


def _write_manifest(
    folder: Path,
    data: Path,
    protocol: Protocol,
    config: RunConfig,
    method: str,
    plans: Sequence[Plan],
    warn: Callable[[str], None],
) -> None:
    """Record cases and settings; refuse a folder of other cases, whose scores would be mixed."""
    facts = {
        "protocol": protocol,
        "data": str(data),
        "video": attrs.asdict(config.video),
        "compat": config.compat,
        "cases": [_case(plan) for plan in plans],
    }
    facts = json.loads(json.dumps(facts))
    with Record(folder / MANIFEST, warn=warn).changing() as change:
        for name in facts:
            if name in change.facts and change.facts[name] != facts[name]:
                raise InvalidConfig(
                    f"{folder} was made with other {name}; use another folder, or the same data, protocol and video "
                    "options"
                )
        change.facts.update(facts)
        change.table("methods")[method] = {"seed": config.seed, "config": write_config(config)}


def _case(plan: Plan) -> dict[str, Any]:
    clip, _, camera = plan.name.rpartition("__")
    return {"name": plan.name, "clip": clip, "camera": camera, "source": str(plan.source), "cam": plan.cam}
