"""A manifest is checked as a whole: each bad row is named once, with its reason, and good rows are complete options."""

from pathlib import Path

import pytest

from ex4d_core.cli.flags import COLUMNS, column_tables
from ex4d_core.config import RunConfig
from ex4d_core.errors import InvalidConfig, InvalidInput, OutputFailed
from ex4d_core.jobs.manifest import read_manifest, write_manifest
from ex4d_core.jobs.shards import Shard


def read(path, **more):
    return read_manifest(path, columns=COLUMNS, tables=column_tables, **more)


@pytest.fixture
def manifest(tmp_path, small_clip):
    """Write a manifest in another folder than the current one, beside two clips."""

    def write(text, name="jobs.csv"):
        for clip in ("a.mp4", "b c.mp4"):
            (tmp_path / clip).write_bytes(small_clip.video.read_bytes())
        (tmp_path / "depth.npy").write_bytes(small_clip.depth.read_bytes())
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_columns_are_flags_and_options_and_paths_are_relative_to_the_manifest(manifest, tmp_path):
    jobs = read(
        manifest(
            "\ufeffclip,cam,seed,depth_file,num_frames,mesh.min_angle,prompt\n"
            'a.mp4,"30; orbit:yaw=10,pitch=5",7,depth.npy,4,2.5,"a dog, running"\n'
            "b c.mp4,,,,,,\n"
        ),
        defaults=RunConfig(seed=3, cam=("12",)),
    ).jobs
    a, b = jobs
    assert (a.id, b.id) == ("a", "b c")
    assert a.config.cam == ("30", "orbit:yaw=10,pitch=5")
    assert (a.config.seed, a.config.video.num_frames, a.config.prompt) == (7, 4, "a dog, running")
    assert a.config.depth.name == "file"
    assert Path(a.config.depth.options["path"]) == tmp_path / "depth.npy"
    assert a.config.mesh.options == {"min_angle": 2.5}
    assert Path(a.clip) == tmp_path / "a.mp4"
    assert (b.config.seed, b.config.cam, b.config.depth.name) == (3, ("12",), "auto")


def test_semicolons_and_tabs_separate_cells_too(manifest):
    for delimiter in ";\t":
        (job,) = read(manifest(f"id{delimiter}clip{delimiter}cam\nx{delimiter}a.mp4{delimiter}-20\n")).jobs
        assert (job.id, job.config.cam) == ("x", ("-20",))


def test_every_bad_row_is_named_once(manifest):
    found = read(
        manifest(
            "id,clip,cam,seed\n"
            "good,a.mp4,30,1\n"
            "gone,nothing.mp4,30,1\n"
            "good,b c.mp4,30,1\n"
            "seed,a.mp4,30,many\n"
            "a/b,a.mp4,30,1\n"
            "empty,,30,1\n"
        )
    )
    assert [job.id for job in found.jobs] == ["good"]
    said = [str(row) for row in found.invalid]
    assert said[0].startswith("row 2 (gone): the clip ")
    assert said[1] == "row 3 (good): the id is that of row 1 too; ids must be unique"
    assert said[2] == "row 4 (seed): seed: must be a whole number, not 'many'"
    assert "is not a valid folder name" in said[3]
    assert said[4] == "row 6 (empty): the clip is missing"
    with pytest.raises(InvalidInput, match=r"5 of 6 rows cannot be run; correct them, or pass --skip-invalid"):
        found.refuse_invalid()


def test_components_and_paths_are_checked_once_for_equal_options(manifest):
    calls = []

    def check(config):
        calls.append(config.cam)
        if config.cam == ("orbt",):
            raise InvalidConfig("unknown move 'orbt'\n  orbt\n  ^")

    found = read(manifest("id,clip,cam,seed\n1,a.mp4,orbt,1\n2,b c.mp4,orbt,2\n3,a.mp4,5,3\n"), check=check)
    assert [row.error for row in found.invalid] == ["unknown move 'orbt'"] * 2
    assert calls == [("orbt",), ("5",)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("clip,sead\na.mp4,1\n", "unknown column 'sead'; did you mean 'seed'"),
        ("id,cam\nx,1\n", "has no column 'clip'"),
        ("clip\n", "has no rows"),
        ("clip,cam\na.mp4,orbit:yaw=1,pitch=2\n", "row 1 of the manifest .* has more cells than the heading"),
    ],
)
def test_a_wrong_table_is_one_sentence(manifest, text, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        read(manifest(text))


def test_clips_in_place_of_a_manifest_are_refused_with_the_command_that_takes_them(small_clip):
    clip = small_clip.video
    with pytest.raises(InvalidInput, match=rf"is not a manifest, .* CSV or Parquet; .*: ex4d run \S*{clip.name}$"):
        read(clip)
    with pytest.raises(InvalidInput, match=r"is not a manifest, .*: ex4d batch plan "):
        read(clip.parent)


def test_a_plan_is_a_manifest_and_is_never_written_over(manifest, tmp_path):
    manifest("")
    plan = tmp_path / "plan.csv"
    assert write_manifest(plan, [tmp_path / "a.mp4", tmp_path / "b c.mp4", tmp_path / "a.mp4"], ["30", "-30"]) == 3
    jobs = read(plan).jobs
    assert [job.id for job in jobs] == ["a", "b c", "a-2"]
    assert all(job.config.cam == ("30", "-30") for job in jobs)
    assert [job.first for job in jobs] == ["", "", "a"]
    with pytest.raises(OutputFailed, match="exists and is not overwritten"):
        write_manifest(plan, [tmp_path / "a.mp4"], ["30"])


def test_parquet_has_lists_and_numbers(manifest, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    import pyarrow

    manifest("")
    table = pyarrow.Table.from_pylist([{"clip": "a.mp4", "cam": ["30", "-30"], "seed": 5, "prompt": None}])
    parquet.write_table(table, tmp_path / "jobs.parquet")
    (job,) = read(tmp_path / "jobs.parquet").jobs
    assert (job.config.cam, job.config.seed, job.config.prompt) == (("30", "-30"), 5, "")


def test_a_changed_input_is_another_key(manifest, tmp_path):
    (job,) = read(manifest("clip\na.mp4\n")).jobs
    before = job.key()
    assert before == job.key()
    (tmp_path / "a.mp4").write_bytes(b"another")
    assert job.key() != before


def test_shards_are_disjoint_and_complete_and_keep_a_clip_together():
    items = [f"{clip}{number}" for clip in "abcde" for number in range(3)]
    parts = [Shard.parse(f"{index}/2").of(items, group=lambda item: item[0]) for index in range(2)]
    assert sorted(parts[0] + parts[1]) == items
    assert not {item[0] for item in parts[0]} & {item[0] for item in parts[1]}


def test_a_slurm_array_is_a_shard():
    array = {"MIN": "5", "MAX": "8", "COUNT": "4", "ID": "7"}
    environment = {f"SLURM_ARRAY_TASK_{name}": value for name, value in array.items()}
    assert str(Shard.from_slurm(environment)) == "2/4"
    assert str(Shard.from_slurm({})) == "0/1"
    with pytest.raises(InvalidConfig, match="use consecutive numbers"):
        Shard.from_slurm({**environment, "SLURM_ARRAY_TASK_COUNT": "2"})


@pytest.mark.parametrize("text", ["2/2", "-1/2", "1", "a/b", "1/"])
def test_a_malformed_shard_is_refused(text):
    with pytest.raises(InvalidConfig, match="must be INDEX/COUNT"):
        Shard.parse(text)
