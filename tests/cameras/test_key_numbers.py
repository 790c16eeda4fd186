"""Key numbers of TrajectoryCrafter and ViewCrafter are spread over the frames as by these tools, without corners."""

import math

import numpy as np
import pytest
from scipy.interpolate import UnivariateSpline

from ex4d_core.cameras.files import ReadOptions, read_camera_path
from ex4d_core.errors import InvalidInput

THETA = "0 2 10 15 12 6 0 -2 -5 -12 -8 -3 0"
PHI = "0 -3 -10 -20 -30 -25 -17 -10 0"
R = "0 0.02 0.09 0.16 0.25 0.2 0.09 0"
DISTANCE = 3.2


def centers(file):
    return np.linalg.inv(file)[:, :3, 3]


def spline(line, frames, factor=1.0):
    """Return the values of the tools: a smoothing spline whose ends are overwritten."""
    keys = [factor * float(word) for word in line.split()]
    values = UnivariateSpline(np.linspace(0, 1, len(keys)), keys, k=3)(np.linspace(0, 1, frames))
    values[0], values[-1] = keys[0], keys[-1]
    return values


def read(tmp_path, text, name="traj.txt", **options):
    (tmp_path / name).write_text(text)
    chosen = options.pop("format", None)
    return read_camera_path(tmp_path / name, ReadOptions(distance=DISTANCE, **options), format=chosen)


def test_angles_and_radius_are_those_of_trajectorycrafter(tmp_path):
    file = read(tmp_path, f"{THETA}\n{PHI}\n{R}\n")
    assert file.num_poses == 49
    rotation = file.world_to_camera[:, :3, :3]
    theta = np.degrees(np.arctan2(-rotation[:, 1, 2], rotation[:, 1, 1]))
    phi = np.degrees(np.arctan2(-rotation[:, 2, 0], rotation[:, 0, 0]))
    assert theta == pytest.approx(spline(THETA, 49), abs=1e-9)
    assert phi == pytest.approx(spline(PHI, 49), abs=1e-9)
    moved = centers(file.world_to_camera) - np.outer(DISTANCE + spline(R, 49, DISTANCE), [0, 0, 1])
    assert np.linalg.norm(moved, axis=1) == pytest.approx(DISTANCE, abs=1e-9), "forward, then turned"
    assert "format=viewcrafter" in file.warnings[0]


def test_viewcrafter_swaps_the_first_lines_and_turns_the_other_way(tmp_path):
    text = f"{PHI}\n{THETA}\n{R}\n"
    file = read(tmp_path, text, format="viewcrafter", elevation=0.0)
    assert file.num_poses == 25
    eyes = centers(file.world_to_camera) - [0, 0, DISTANCE]
    distance = DISTANCE * (1 + spline(R, 25))
    assert np.linalg.norm(eyes, axis=1) == pytest.approx(distance, abs=1e-9), "r is backward"
    phi, theta = np.radians(spline(PHI, 25)), np.radians(spline(THETA, 25))
    assert eyes[:, 0] == pytest.approx(distance * np.sin(phi) * np.cos(theta), abs=1e-9), "phi is to the right"
    assert eyes[:, 1] == pytest.approx(distance * np.sin(theta), abs=1e-9), "theta is down"
    tilted = read(tmp_path, text, format="viewcrafter")
    assert np.abs(tilted.world_to_camera - file.world_to_camera).max() > 0.01
    assert read(tmp_path, text, name="viewcrafter.txt").format == "viewcrafter"


@pytest.mark.parametrize("elevation", [90.0, float("nan")])
def test_an_elevation_is_less_than_a_right_angle(elevation):
    with pytest.raises(InvalidInput, match="the elevation must be between -89 and 89 degrees"):
        ReadOptions(elevation=elevation)


@pytest.mark.parametrize("frames", [16, 25, 49, 81, 200])
@pytest.mark.parametrize("tool", ["trajectorycrafter", "viewcrafter"])
def test_the_camera_has_no_corners_at_any_number_of_frames(tool, frames, tmp_path):
    file = read(tmp_path, f"{THETA}\n{PHI}\n{R}\n", format=tool)
    bends = np.linalg.norm(np.diff(centers(file.spread(frames)), 2, axis=0), axis=1)
    assert bends.max() < 8 * np.median(bends)


def test_three_numbers_are_connected_by_straight_lines(tmp_path):
    rotation = read(tmp_path, "0 10\n0 0 0\n0\n").spread(5)[:, :3, :3]
    assert np.degrees(np.arctan2(-rotation[:, 1, 2], rotation[:, 1, 1])) == pytest.approx([0, 2.5, 5, 7.5, 10])


def test_the_text_of_the_page_is_the_end_of_a_straight_path(tmp_path):
    file = read(tmp_path, "0; 20; 0.25; 1; 0.5\n")
    phi = math.radians(20)
    turned = np.array([[math.cos(phi), 0, math.sin(phi)], [0, 1, 0], [-math.sin(phi), 0, math.cos(phi)]])
    expected = turned @ [-1, 0.5, -0.25 * DISTANCE - DISTANCE] + [0, 0, DISTANCE]
    assert file.world_to_camera[-1, :3, 3] == pytest.approx(expected)
    assert file.num_poses == 49


@pytest.mark.parametrize("columns", [8, 12, 16, 19])
def test_three_poses_are_not_taken_for_three_lines_of_key_numbers(columns, tmp_path):
    matrix = np.array([[0.0, -1, 0, 2], [1, 0, 0, 3], [0, 0, 1, 4], [0, 0, 0, 1]])
    half = math.sqrt(0.5)
    row = {
        8: [2.0, 3, 4, 0, 0, half, half],
        12: matrix[:3].ravel(),
        16: matrix.ravel(),
        19: [0.9, 1.2, 0.5, 0.5, 0, 0, *matrix[:3].ravel()],
    }[columns]
    rows = [[at, *row] if columns in (8, 19) else row for at in range(3)]
    np.savetxt(tmp_path / "traj.txt", rows)
    formats = {8: "tum", 12: "matrices", 16: "matrices", 19: "realestate10k"}
    chosen = "tum" if columns == 8 else None
    file = read_camera_path(tmp_path / "traj.txt", ReadOptions(convention="w2c-opencv"), format=chosen)
    assert (file.format, file.num_poses) == (formats[columns], 3)
