"""Messages have the names of files, not the folders of the server, and lose nothing else."""

import pytest

from ex4d_web.sentences import without_folders

ONE, TWO = "0" * 32, "a" * 32


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"the clip /srv/app/{ONE}/clip.mp4 does not exist", "the clip clip.mp4 does not exist"),
        (f"/srv/my app/{ONE}/run/depth.npz: 3 maps", "depth.npz: 3 maps"),
        (f"'/srv/app/{ONE}' is full", "'this clip' is full"),
        (f"/usr/lib/x.so and /srv/app/{ONE}/clip.mp4 differ", "/usr/lib/x.so and clip.mp4 differ"),
        (f"/tmp/a is not '/srv/app/{ONE}/b' (/srv/app/{TWO}/c)", "/tmp/a is not 'b' (c)"),
        (f"/srv/app/{ONE}/clip.mp4 and /srv/app/{TWO}/run/clip.mp4 differ", "clip.mp4 and clip.mp4 differ"),
        ("use 1/2 of /dev/shm", "use 1/2 of /dev/shm"),
    ],
)
def test_folders_of_the_server_are_left_out(text, shown):
    assert without_folders(text) == shown
