"""Stages return before their artifacts are written, within `storing_behind`."""

import threading
import time
import weakref
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from ex4d_core.errors import OutputFailed
from ex4d_core.pipeline.ahead import Ahead
from ex4d_core.pipeline.artifacts import Codec, StageCache
from ex4d_core.pipeline.store import Store, content_key
from ex4d_core.progress import SilentReporter
from ex4d_core.runs.batch import Outcome, attempt


def stage(cache, codec):
    def work(needs, loaded, progress, folder: Path):
        (folder / "partial").write_text("step 1")
        return "result"

    return cache.cached_stage("result", {"a": 1}, codec, needs=lambda: None, load=lambda: None, work=work)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_an_artifact_is_written_while_the_next_stage_runs_and_is_there_at_the_end(store):
    may_write = threading.Event()

    def save(folder, value):
        assert may_write.wait(60)
        (folder / "value").write_text(value)

    cache, key = StageCache(SilentReporter(), store=store), content_key({"a": 1})
    with cache.storing_behind():
        assert stage(cache, Codec(save=save, load=lambda folder: None)) == "result"
        assert store.size("result", key) is None
        may_write.set()
    assert store.load("result", key, lambda folder: (folder / "value").read_text()) == "result"
    assert not list(store.folder.glob("artifacts/.partial-*"))


def test_an_artifact_is_written_although_a_later_stage_fails(store):
    cache = StageCache(SilentReporter(), store=store)
    codec = Codec(save=lambda folder, value: (folder / "value").write_text(value), load=lambda folder: None)
    with pytest.raises(RuntimeError, match="later"), cache.storing_behind():
        stage(cache, codec)
        raise RuntimeError("later")
    assert store.size("result", content_key({"a": 1})) is not None


def test_an_artifact_that_cannot_be_written_is_an_error_that_keeps_partial_results(store):
    def fail(folder, value):
        raise OSError(28, "No space left on device")

    cache = StageCache(SilentReporter(), store=store)
    with pytest.raises(OutputFailed, match="No space left"), cache.storing_behind():
        stage(cache, Codec(save=fail, load=lambda folder: None))
    (kept,) = store.folder.glob("artifacts/.partial-*/partial")
    assert kept.read_text() == "step 1"
    written = Codec(save=lambda folder, value: (folder / "value").write_text(value), load=lambda folder: None)
    assert stage(cache, written) == "result"
    assert not list(store.folder.glob("artifacts/.partial-*"))


def test_ctrl_c_is_not_lost_behind_an_artifact_that_cannot_be_written(store):
    def fail(folder, value):
        raise OSError(28, "No space left on device")

    def work():
        cache = StageCache(SilentReporter(), store=store)
        with cache.storing_behind(), ExitStack() as writing:
            writing.callback(Ahead(partial(fail, None, None)).result)  # an output, as of `export`
            stage(cache, Codec(save=fail, load=lambda folder: None))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(Outcome(clip=Path("clip.mp4"), folder=store.folder), work)


def test_no_stage_runs_after_an_artifact_could_not_be_written(store):
    def fail(folder, value):
        raise OSError(28, "No space left on device")

    worked: list[str] = []

    def work(needs, loaded, progress, folder):
        worked.append("next")

    cache = StageCache(SilentReporter(), store=store)
    codec = Codec(save=fail, load=lambda folder: None)
    with pytest.raises(OutputFailed, match="No space left"), cache.storing_behind():
        stage(cache, codec)
        for thread in threading.enumerate():
            if thread.name == "ahead":
                thread.join()
        cache.cached_stage("next", {"b": 1}, codec, needs=lambda: None, load=lambda: None, work=work)
    assert not worked


def test_artifacts_are_written_although_one_before_fails_by_a_bug(store):
    may_write = threading.Event()

    def fail(folder, value):
        assert may_write.wait(60)
        raise RuntimeError("a bug of a codec")

    def save(folder, value):
        assert may_write.wait(60)
        time.sleep(0.2)
        (folder / "value").write_text(value)

    cache = StageCache(SilentReporter(), store=store)

    def run(name, write):
        codec = Codec(save=write, load=lambda folder: None)
        cache.cached_stage(name, {}, codec, needs=lambda: None, load=lambda: None, work=lambda *given: "result")

    with pytest.raises(RuntimeError, match="a bug"), cache.storing_behind():
        run("guidance", fail)
        run("result", save)
        may_write.set()
    assert store.size("result", content_key({}))


def test_a_value_is_freed_once_it_is_written(store):
    cache = StageCache(SilentReporter(), store=store)
    codec = Codec(save=lambda folder, value: (folder / "value").write_text("written"), load=lambda folder: None)
    with cache.storing_behind():
        value = weakref.ref(
            cache.cached_stage(
                "depth", {}, codec, needs=lambda: None, load=lambda: None, work=lambda *given: threading.Event()
            )
        )
        for thread in threading.enumerate():
            if thread.name == "ahead":
                thread.join()
        assert value() is None
