"""The three calls of the HTTP API, with the client of Gradio."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from ex4d_core.video_io import read_video

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),  # Gradio counts its events with pandas
]


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Client(
            served.headers["Origin"],
            headers=served.headers,
            download_files=tmp_path_factory.mktemp("downloads"),
            verbose=False,
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def project(client, clip):
    return client.predict(clip_file=handle_file(clip), frames=3, depth_estimator="sketch", api_name="/open_clip")


def test_the_calls_are_those_of_the_documentation(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    arguments = {name: [each["parameter_name"] for each in call["parameters"]] for name, call in named.items()}
    assert arguments == {
        "/open_clip": ["clip_file", "start", "frames", "stride", "side", "depth_estimator", "depth_file"],
        "/preview": ["project", "cam"],
        "/generate": ["project", "cam", "backbone", "prompt", "speed", "memory", "seed"],
    }


def test_a_clip_is_opened_previewed_and_generated(client, project):
    assert project["frames"] == 3
    facts, sheet = client.predict(project=project["project"], cam="20", api_name="/preview")
    assert len(facts["visible"]) == 3
    assert facts["visible"][0] > facts["visible"][-1] > 0.4
    assert Path(_path(sheet)).read_bytes().startswith(b"\x89PNG")

    made, files = client.predict(project=project["project"], cam="20", backbone="telea", seed=3, api_name="/generate")
    names = [Path(_path(file)).name for file in files]
    assert names == ["result_20.mp4", "color_20.mp4", "mask_20.mp4", "camera_20.npz", "DW-Mesh.glb", "sheet_20.png"]
    assert read_video(_path(files[0])).frames.shape == (3, 48, 64, 3)
    assert made["command"].endswith("--depth sketch --cam 20 --backbone telea --seed 3")


def test_depth_of_a_file_is_used(client, clip):
    depth = handle_file(clip.with_name("depth.npz"))
    opened = client.predict(clip_file=handle_file(clip), frames=6, depth_file=depth, api_name="/open_clip")
    facts, _ = client.predict(project=opened["project"], cam="static", api_name="/preview")
    assert min(facts["visible"]) > 0.95


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cam": "orbit:pitch=95"}, "pitch must be between -89 and 89 degrees"),
        ({"cam": "/etc/passwd.json"}, "a path cannot name a file of the server"),
        ({"project": "0" * 32}, "no longer on the server"),
        ({"project": "../x"}, "no longer on the server"),
        ({"project": 5}, "upload a clip first"),
        ({"cam": 5}, "the path is not a text of at most 2000 characters"),
    ],
)
def test_wrong_values_are_one_sentence(client, project, values, message):
    with pytest.raises(AppError, match=message):
        client.predict(**{"project": project["project"], "cam": "20", **values}, api_name="/preview")


def test_a_choice_that_is_not_offered_is_refused(client, project, clip):
    with pytest.raises(AppError, match="the video model must be one of auto, "):
        client.predict(project=project["project"], cam="20", backbone="../x", api_name="/generate")
    with pytest.raises(AppError, match="the estimator must be one of auto, "):
        client.predict(clip_file=handle_file(clip), depth_estimator="file", api_name="/open_clip")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": "x"}, "the seed must be a number, not 'x'"),
        ({"prompt": 5}, "the prompt is not a text of at most 2000 characters"),
        ({"speed": "warp"}, "the speed of telea must be one of default"),
        ({"memory": "20"}, "telea has no option for GPU memory; leave it empty"),
    ],
)
def test_wrong_options_of_a_video_model_are_one_sentence(client, project, values, message):
    options = {"cam": "20", "backbone": "telea", **values}
    with pytest.raises(AppError, match=message):
        client.predict(project=project["project"], **options, api_name="/generate")


def test_a_wrong_selection_is_one_sentence(client, clip):
    with pytest.raises(AppError, match="the number of frames must be a number, not 'all'"):
        client.predict(clip_file=handle_file(clip), frames="all", api_name="/open_clip")


def test_a_file_that_is_no_clip_is_refused_and_leaves_nothing(client, served, tmp_path):
    (tmp_path / "notes.mp4").write_text("not a video")
    before = set(served.state.projects.root.iterdir())
    with pytest.raises(AppError, match=r"^notes.mp4 is not a"):
        client.predict(clip_file=handle_file(tmp_path / "notes.mp4"), api_name="/open_clip")
    assert set(served.state.projects.root.iterdir()) == before


def called(served, name, data):
    """Return the answer to a call without the client of Gradio, which uploads each file."""
    start, headers = f"{served.headers['Origin']}/gradio_api/call/{name}", served.headers
    request = urllib.request.Request(start, json.dumps({"data": data}).encode(), {**headers, **JSON})
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(urllib.request.Request(f"{start}/{event}", headers=headers)) as answer:
        return answer.read().decode()


JSON = {"Content-Type": "application/json"}


def test_files_of_the_server_are_not_taken_for_uploads(served, clip):
    before = set(served.state.projects.root.iterdir())
    for path in (clip, "/etc/hostname"):
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        assert "event: error" in called(served, "open_clip", [file, 0, 3, 1, 256, "sketch", None])
    assert set(served.state.projects.root.iterdir()) == before


@pytest.mark.parametrize("path", ["/etc/hostname", "{clip}", "{root}/../x", "{root}", "{root}/gradio"])
def test_files_of_the_server_are_not_served(served, clip, path):
    name = path.format(clip=clip, root=served.state.projects.root)
    request = urllib.request.Request(f"{served.headers['Origin']}/gradio_api/file={name}", headers=served.headers)
    with pytest.raises(urllib.error.HTTPError, match=r"HTTP Error 40[34]") as caught:
        urllib.request.urlopen(request)
    caught.value.close()


def test_a_pickle_is_no_depth_file(client, clip, tmp_path):
    import numpy as np

    np.savez(tmp_path / "evil.npz", depth=np.array([{"a": print}], dtype=object))
    with pytest.raises(AppError, match=r"evil\.npz"):
        client.predict(
            clip_file=handle_file(clip), depth_file=handle_file(tmp_path / "evil.npz"), api_name="/open_clip"
        )


def _path(file):
    return file["path"] if isinstance(file, dict) else file
