"""Facts about downloading parts of OpenVid-1M, from a small server that speaks the hub's protocol."""

from __future__ import annotations

import errno
import io
import json
import random
import shutil
import zipfile
from contextlib import nullcontext

import pytest

import typer_cli
from ex4d_core.errors import Cancelled, DownloadFailed, InvalidConfig, InvalidInput, OutputFailed
from ex4d_core.progress import silent
from ex4d_training.data import openvid
from ex4d_training.data.openvid import TABLE, download_parts, look_up_parts, parse_parts, plan_json, plan_tables
from ex4d_training.data.sources import find_videos
from ex4d_training.data.zips import unpack
from tests.helpers.hub_server import COMMIT, REPO, HubServer

hub = pytest.importorskip("huggingface_hub")


def clip(number):
    """Return the bytes of a video; those of part 1 are many, so that a transfer can break in the middle."""
    return random.Random(number).randbytes(1_500_000 if number // 10 == 1 else 20_000)


def zipped(**videos):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("deep/folder/readme.txt", "not a video")
        for name, content in videos.items():
            archive.writestr(f"deep/folder/{name}.mp4", content)
    return data.getvalue()


ZIPS = {number: zipped(**{f"v{number}_{i}": clip(10 * number + i) for i in range(2)}) for number in range(3)}
CUT = len(ZIPS[2]) // 2
ROWS = "".join(f"v{number}_{i}.mp4,a ball {number} {i}\n" for number in range(3) for i in range(2))
FILES = {
    "README.md": b"# data",
    TABLE: f"video,caption\n{ROWS}".encode(),
    "OpenVid_part0.zip": ZIPS[0],
    "OpenVid_part1.zip": ZIPS[1],
    "OpenVid_part2_partaa": ZIPS[2][:CUT],
    "OpenVid_part2_partab": ZIPS[2][CUT:],
    "OpenVidHD/OpenVidHD_part_1.zip": b"not wanted",
}


@pytest.fixture
def server(monkeypatch):
    from huggingface_hub import constants

    server = HubServer(dict(FILES))
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield server
    server.close()
    hub.close_session()


def videos_in(folder):
    return {path.name: path.read_bytes() for path in (folder / "videos").iterdir()}


def wanted(*parts):
    return {f"v{number}_{i}.mp4": clip(10 * number + i) for number in parts for i in range(2)}


@pytest.mark.parametrize(
    ("text", "parts"), [("0", (0,)), ("0..3", (0, 1, 2, 3)), ("7, 0..2,1", (0, 1, 2, 7)), ("5..5", (5,))]
)
def test_parts_are_numbers_and_ranges(text, parts):
    assert parse_parts(text) == parts


@pytest.mark.parametrize("text", ["", "a", "3..1", "1-2", "0..", "-1", "9999999"])
def test_other_parts_are_refused(text):
    with pytest.raises(InvalidConfig, match="--parts must be numbers and ranges"):
        parse_parts(text)


def test_the_plan_says_how_much_before_anything_is_fetched(server, tmp_path):
    plan = look_up_parts((0, 2), tmp_path / "data", repo=REPO)
    zips = len(ZIPS[0]) + len(ZIPS[2])
    assert (plan.listed.commit, plan.missing) == (COMMIT, zips + len(FILES[TABLE]))
    assert plan.needed == plan.missing + max(len(ZIPS[0]), len(ZIPS[2]))
    assert [file.path for file in plan.files_of(2)] == ["OpenVid_part2_partaa", "OpenVid_part2_partab"]
    assert server.asked == []
    assert not (tmp_path / "data").exists()
    tree = json.loads(plan_json(plan, done=False))
    assert (tree["missing"], list(tree["parts"])) == (plan.missing, ["0", "2"])
    assert "to download: 80.9 kB; peak disk usage: 121" in str([*plan_tables(plan)])


def test_parts_arrive_unpacked_with_their_captions_and_leave_no_zip(server, tmp_path):
    download_parts(look_up_parts((0, 2), tmp_path, repo=REPO))
    assert videos_in(tmp_path) == wanted(0, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".parts.json", "OpenVid-1M.csv", "videos"]
    found = find_videos(tmp_path / "OpenVid-1M.csv")
    assert found.absent == 2
    assert [(v.name, v.caption) for v in found.videos][:2] == [("v0_0.mp4", "a ball 0 0"), ("v0_1.mp4", "a ball 0 1")]


def test_parts_that_are_unpacked_are_not_asked_for_again(server, tmp_path):
    download_parts(look_up_parts((0,), tmp_path, repo=REPO))
    server.asked.clear()
    plan = look_up_parts((0, 1), tmp_path, repo=REPO)
    assert (plan.parts, plan.unpacked, plan.missing) == ((1,), (0,), len(ZIPS[1]))
    download_parts(plan)
    assert (server.asked, videos_in(tmp_path)) == ([""], wanted(0, 1))
    done = look_up_parts((0, 1), tmp_path, repo=REPO)
    assert (done.parts, done.missing, done.needed) == ((), 0, 0)
    assert list(plan_tables(done))[1] == "unpacked already: 0, 1"
    shutil.rmtree(tmp_path / "videos")
    assert look_up_parts((0, 1), tmp_path, repo=REPO).parts == (0, 1)


def test_a_download_that_broke_goes_on_in_the_middle(server, tmp_path):
    server.cut_after = [2**21]
    download_parts(look_up_parts((1,), tmp_path, repo=REPO))
    assert server.asked == ["", f"bytes={2**21}-"]
    assert videos_in(tmp_path) == wanted(1)


def test_a_stopped_unpacking_goes_on_without_another_download(server, tmp_path):
    def stop_after_one(done, total):
        if done == 1:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        download_parts(look_up_parts((1,), tmp_path, repo=REPO), stage=lambda name: nullcontext(stop_after_one))
    assert len(videos_in(tmp_path)) == 1
    server.asked.clear()
    plan = look_up_parts((1,), tmp_path, repo=REPO)
    assert plan.missing == 0
    download_parts(plan)
    assert (server.asked, videos_in(tmp_path)) == ([], wanted(1))


def test_a_part_that_does_not_exist_is_refused(server, tmp_path):
    with pytest.raises(InvalidConfig, match="lab/net has no part 7; it has 3 parts from 0 to 2"):
        look_up_parts((0, 7), tmp_path, repo=REPO)


def test_a_repository_that_does_not_exist_is_refused(server, tmp_path):
    with pytest.raises(DownloadFailed, match="lab/other was not found"):
        look_up_parts((0,), tmp_path, repo="lab/other")


def test_what_cannot_fit_is_refused_before_the_download(server, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    plan = look_up_parts((0,), tmp_path, repo=REPO)
    with pytest.raises(OutputFailed, match=r"need up to 0\.0 GB, but the disk .* --parts"):
        plan.check_room()


def test_a_zip_that_is_none_is_named(server, tmp_path):
    server.files["OpenVid_part0.zip"] = b"no zip at all"
    with pytest.raises(DownloadFailed, match=r"OpenVid_part0.zip is damaged .* run the same command again"):
        download_parts(look_up_parts((0,), tmp_path, repo=REPO))
    server.files["OpenVid_part0.zip"] = ZIPS[0]
    download_parts(look_up_parts((0,), tmp_path, repo=REPO))
    assert videos_in(tmp_path) == wanted(0)


def test_names_in_a_zip_lead_nowhere_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../outside.mp4", b"x")
    assert unpack([tmp_path / "a.zip"], tmp_path / "in" / "videos", progress=silent) == 1
    assert (tmp_path / "in" / "videos" / "outside.mp4").is_file()
    assert not list(tmp_path.glob("*.mp4"))


def test_videos_are_told_by_their_suffix_in_any_case_and_hidden_ones_left_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("a.MP4", "__MACOSX/._a.MP4", "b.txt"):
            archive.writestr(name, b"x")
    assert unpack([tmp_path / "a.zip"], tmp_path / "videos", progress=silent) == 1
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["a.MP4"]


def test_a_zip_whose_packing_is_damaged_is_named(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.mp4", b"frames " * 1000)
    data = bytearray(path.read_bytes())
    start = zipfile.sizeFileHeader + len("a.mp4")
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(DownloadFailed, match=r"a.zip is damaged"):
        unpack([path], tmp_path / "videos", progress=silent)


def test_a_zip_that_unpacks_to_more_than_the_disk_has_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.mp4", bytes(10**6))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10**5}))
    with pytest.raises(
        OutputFailed, match=r"the videos of the zip file need 0.0 GB, but the disk of .*videos has 0.0 GB"
    ):
        unpack([path], tmp_path / "videos", progress=silent)
    assert path.stat().st_size < 10**5
    assert not list((tmp_path / "videos").iterdir())


def encrypted(path):
    """Mark the files of a zip as encrypted, in both of its lists."""
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


def damaged(path):
    """Change bytes in the middle of what a zip holds."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_of_any_method_is_named_and_fetched_again(tmp_path, method):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.mp4", random.Random(0).randbytes(5000))
    damaged(path)
    with pytest.raises(DownloadFailed, match=r"^a.zip is damaged \(.*\); run the same command again"):
        unpack([path], tmp_path / "videos", progress=silent)
    assert not path.exists()
    assert list((tmp_path / "videos").iterdir()) == []


def test_a_zip_that_is_encrypted_is_told_and_stays(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.mp4", b"x" * 50)
    encrypted(path)
    with pytest.raises(DownloadFailed, match=r"a.zip cannot be unpacked: .*encrypted.*; report it to the data set"):
        unpack([path], tmp_path / "videos", progress=silent)
    assert path.exists()


def test_names_that_no_file_can_have_are_left_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in (f"{'x' * 300}.mp4", "a\x1b[31m.mp4", "aux.mp4", "b.mp4"):
            archive.writestr(name, b"x")
    assert unpack([tmp_path / "a.zip"], tmp_path / "videos", progress=silent) == 1
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["b.mp4"]


def test_a_zip_that_cannot_be_read_at_the_moment_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.mp4", b"x")

    def fails(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "open", fails)
    with pytest.raises(InvalidInput, match=r"a.zip cannot be read: Input/output error"):
        unpack([path], tmp_path / "videos", progress=silent)
    assert path.exists()


@pytest.mark.parametrize("text", ["{", "[" * 10**5, "[1]", '{"a": 1}', '{"0": "many"}', '{"0": -1}'])
def test_a_damaged_record_of_parts_is_named(server, tmp_path, text):
    download_parts(look_up_parts((0,), tmp_path, repo=REPO))
    (tmp_path / ".parts.json").write_text(text)
    with pytest.raises(InvalidInput, match=r".parts.json is damaged \(.*\); delete it to download the parts"):
        look_up_parts((0,), tmp_path, repo=REPO)


def test_a_part_that_another_run_has_unpacked_meanwhile_is_not_fetched_again(server, tmp_path):
    plan = look_up_parts((0,), tmp_path, repo=REPO)
    download_parts(plan)
    server.asked.clear()
    download_parts(plan)
    assert server.asked == []


def test_two_downloads_into_one_folder_do_not_mix(server, tmp_path):
    def second(name):
        with pytest.raises(InvalidInput, match="another run downloads into"):
            download_parts(look_up_parts((1,), tmp_path, repo=REPO))
        return nullcontext(silent)

    download_parts(look_up_parts((0,), tmp_path, repo=REPO), stage=second)
    assert videos_in(tmp_path) == wanted(0)


def test_the_repository_is_openvids_own():
    assert (openvid.REPO, TABLE) == ("nkp37/OpenVid-1M", "data/train/OpenVid-1M.csv")


def test_the_command_says_how_much_and_asks_first(server, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(openvid.look_up_parts, "__kwdefaults__", {"repo": REPO})
    arguments = ["data", "download", "openvid", "--parts", "0", "--output-dir", str(tmp_path / "data")]
    for more in (["--dry-run"], ["--json", "--yes"], []):
        with pytest.raises(SystemExit) as stop:
            typer_cli.main([*arguments, *more])
        assert not stop.value.code
    said = capfd.readouterr().out
    assert "license: CC-BY-4.0" in said
    assert '"done": true' in said
    assert "next: ex4d data prepare --data-path" in said
    assert videos_in(tmp_path / "data") == wanted(0)
