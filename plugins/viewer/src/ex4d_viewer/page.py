"""The page of a run: what is on it and what its controls do."""

from __future__ import annotations

import contextlib
import shlex
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import viser

from ex4d_core.cameras.language import cam_of_file
from ex4d_core.errors import Ex4dError, tracing, unexpected
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.page_guard import text_as_markdown
from ex4d_core.pipeline.stages import source_to_world
from ex4d_core.preview.pictures import known_shares, with_holes
from ex4d_core.runs.export import CONFIG
from ex4d_core.terminal import printable
from ex4d_core.types import CameraPath, Scene
from ex4d_viewer.controls import choice, put, whole
from ex4d_viewer.editor import Editor
from ex4d_viewer.path_view import PathView
from ex4d_viewer.poses import Placed, placed, vertical_fov
from ex4d_viewer.scenery import COLORS, Colors, Scenery
from ex4d_viewer.watching import RunWatch

OWN = "my path"
"""What the path that is made on the page is called among the others."""

PICTURE_SIDE = 320
"""Pixels along the longer side of pictures on the page."""

FRUSTUM = 0.12
"""Depth of the frusta as a share of the distance to the subject."""

KEYFRAMES, MOST_KEYFRAMES = 4, 12

MOST_TROUBLES = 5
"""Limit of errors on the page."""


class Page:
    """Shows a run. `catch_up` and `step` are called again and again, each by a thread of its own."""

    def __init__(
        self, server: viser.ViserServer, watch: RunWatch, *, detail: int, most_frames: int, over: threading.Event
    ) -> None:
        """Lay the page out; the scene comes with the first `catch_up` that finds depth.

        Args:
            server: the server of the page.
            watch: the run.
            detail: points along the longer side of each mesh.
            most_frames: largest number of meshes.
            over: set when the page is about to close; no work is started afterwards.
        """
        self._server, self._watch, self._over = server, watch, over
        self._detail, self._most_frames = detail, most_frames
        self._lock = threading.RLock()
        self._scenery: Scenery | None = None
        self._view: PathView | None = None
        self._editor: Editor | None = None
        self._own: CameraPath | None = None
        self._stale = False
        self._shares: dict[str, list[float]] = {}
        server.gui.set_panel_label(f"ex4d: {printable(watch.folder.name)}")
        server.gui.configure_theme(show_logo=False, show_share_button=False)
        server.gui.main_panel.dock_right()
        server.scene.set_up_direction("-y")
        server.scene.configure_environment_map(None)
        server.scene.add_light_ambient("/light", intensity=2.0)
        self._state = server.gui.add_markdown("Looking at the run ...")
        self._alert = server.gui.add_markdown("")
        self._alerts: dict[object, str] = {}
        self._lay_out()

    @property
    def pause(self) -> float:
        """Seconds until the next frame is due."""
        return 1 / whole(self._speed)

    def catch_up(self) -> None:
        """Look at the run folder and put on the page what has come; gives up at once when it is over."""
        news = self._watch.poll()
        with self._lock:
            scene = self._watch.scene
            if scene is not None and self._scenery is None:
                self._begin(scene)
            if news or self._stale or self._scenery is None:
                self._list_paths()
                self._tell_state()
        self._fill()

    @property
    def state(self) -> str:
        """What the page says of the run, in Markdown."""
        return str(self._state.content)

    @property
    def alert(self) -> str:
        """Errors of callbacks and threads, in Markdown, or ''."""
        return str(self._alert.content)

    @contextlib.contextmanager
    def showing_errors(self, key: object) -> Iterator[None]:
        """Show an error of the block on the page, until a block with the same key succeeds."""
        try:
            yield
        except Exception as error:
            if tracing():
                traceback.print_exception(error)
            sentence = str(error) if isinstance(error, Ex4dError) else unexpected(error)
            self._alerts[key] = f"**Not done**: {text_as_markdown(sentence)}"
        else:
            self._alerts.pop(key, None)
        shown = "\n\n".join(dict.fromkeys(self._alerts.values()))
        if shown != self.alert:
            self._alert.content = shown

    @property
    def keyframes(self) -> list[Placed]:
        """The keyframes of the path that is made on the page."""
        return [] if self._editor is None else self._editor.keyframes

    def go_to(self, frame: int) -> None:
        """Show a frame of the path."""
        put(self._time, frame)
        self._show()

    def step(self) -> None:
        """Go on to the next frame, if the page plays."""
        if self._play.value and not self._time.disabled:
            self.go_to((whole(self._time) + 1) % (int(self._time.max) + 1))

    def _lay_out(self) -> None:
        gui = self._server.gui
        with gui.add_folder("Time"):
            self._play = gui.add_checkbox("Play", False)
            self._time = gui.add_slider("Frame", min=0, max=1, step=1, initial_value=0, disabled=True)
            self._speed = gui.add_slider("Frames a second", min=1, max=30, step=1, initial_value=12)
        with gui.add_folder("Scene"):
            self._colors = gui.add_dropdown("Colors", COLORS, hint="of the frame, of its depth, or the bare shape")
            self._hidden = gui.add_checkbox("Occluded faces", False, hint="surfaces that nobody saw")
            overview = gui.add_button("Look from behind the camera")
        with gui.add_folder("Camera path"):
            self._cam = gui.add_dropdown("Path", ("none yet",))
            self._path_shown = gui.add_checkbox("Show the path", True)
            self._fly = gui.add_checkbox("Fly along", False, hint="look through the camera of the path")
            self._picture = gui.add_image(np.zeros((8, 8, 3), np.uint8), label="What is known", visible=False)
            self._result = gui.add_image(np.zeros((8, 8, 3), np.uint8), label="Result", visible=False)
        with gui.add_folder("Make a path"):
            gui.add_markdown("Drag the arrows and rings of keyframes, then save.")
            self._count = gui.add_slider("Keyframes", min=2, max=MOST_KEYFRAMES, step=1, initial_value=KEYFRAMES)
            begin = gui.add_button("Begin with the path above")
            add = gui.add_button("Add my view as a keyframe")
            drop = gui.add_button("Remove the last keyframe")
            self._name = gui.add_text("Name", "my_path")
            self._replace = gui.add_checkbox(
                "Replace existing file", False, hint="otherwise an existing file is kept and nothing is saved"
            )
            save = gui.add_button("Save the path", color="green")
            self._said = gui.add_markdown("")
        self._answer(self._time.on_update, self._show)
        self._answer(self._colors.on_update, self._recolor)
        self._answer(self._hidden.on_update, self._show_hidden)
        self._answer(self._cam.on_update, self._take_path)
        self._answer(self._path_shown.on_update, self._show_path)
        self._answer(self._fly.on_update, self._fly_or_land)
        self._answer(overview.on_click, self._land)
        self._answer(begin.on_click, self._begin_keyframes)
        add.on_click(self._guarded(self._add_view))
        self._answer(drop.on_click, self._drop_keyframe)
        self._answer(save.on_click, self._save)

    def _answer(self, when: Callable[[Callable[[Any], None]], object], work: Callable[[], None]) -> None:
        when(self._guarded(lambda _: work()))

    def _guarded(self, work: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a callback that runs alone, shows its errors on the page, and has no effect once the page closes."""

        def handle(event: Any) -> None:
            with self._lock, self.showing_errors(work):
                if not self._over.is_set():
                    work(event)

        return handle

    def _begin(self, scene: Scene) -> None:
        """Show a scene for the first time."""
        distance = subject_distance(scene.depth)
        self._distance = distance
        self._scenery = Scenery(
            self._server, scene, self._watch.clip_run.components.mesh_builder(),
            detail=self._detail, most_frames=self._most_frames,
        )  # fmt: skip
        self._view = PathView(self._server, size=FRUSTUM * distance)
        self._editor = Editor(
            self._server, scene, size=FRUSTUM * distance, changed=self._took_own, guarded=self._guarded
        )
        eye, center = np.array([-0.45, -0.4, -0.6]) * distance, np.array([0, 0, 0.8]) * distance
        initial = self._server.initial_camera
        initial.up = np.array([0.0, -1.0, 0.0])
        initial.position, initial.look_at = eye, center
        initial.near, initial.far = distance / 200, distance * 1000
        initial.fov = 0.9
        self._look_over()
        self._stale = True

    def _look_over(self) -> None:
        """Bring everybody back to where the whole scene is seen."""
        initial = self._server.initial_camera
        for client in self._server.get_clients().values():
            client.camera.up_direction = initial.up if initial.up is not None else np.array([0.0, -1.0, 0.0])
            client.camera.position, client.camera.look_at = initial.position, initial.look_at
            client.camera.fov = initial.fov

    def _fill(self) -> None:
        """Put the meshes on the page while nobody waits."""
        if self._scenery is None or not self._stale:
            return
        self._stale, wanted = False, self._scenery.colors
        for done in self._scenery.fill():
            if self._over.is_set() or self._scenery.colors != wanted:
                self._stale = True
                return
            self._tell_state(done)
            if done == 1:
                self._show()
        self._show()
        self._tell_state()

    def _list_paths(self) -> None:
        names = [cam for cam in self._watch.paths if cam != OWN]
        names += [OWN] if self._own is not None else []
        if names and tuple(names) != tuple(self._cam.options):
            chosen = self._cam.value if self._cam.value in names else names[0]
            self._cam.options = names
            put(self._cam, chosen)
            self._take_path()
        for cam, guidance in self._watch.guidance.items():
            if cam not in self._shares:
                self._shares[cam] = known_shares(guidance).tolist()

    def _path(self) -> CameraPath | None:
        cam = choice(self._cam)
        return self._own if cam == OWN else self._watch.paths.get(cam)

    def _take_path(self) -> None:
        with self._lock:
            path = self._path()
            if path is None or self._view is None:
                return
            self._view.draw(path)
            self._time.max, self._time.disabled = path.num_frames - 1, path.num_frames < 2
            whole(self._time)
            self._show()

    def _took_own(self, path: CameraPath) -> None:
        """Show the path through the keyframes."""
        with self._lock:
            self._own = path
            self._list_paths()
            if self._cam.value != OWN:
                put(self._cam, OWN)
            self._take_path()

    def _show(self) -> None:
        """Bring everything to the moment."""
        with self._lock, self._server.atomic():
            path, scene = self._path(), self._watch.scene
            if path is None or scene is None or self._scenery is None or self._view is None:
                return
            frame = min(whole(self._time), path.num_frames - 1)
            filmed = min(path.frame_shown(frame), scene.video.num_frames - 1)
            self._scenery.show(filmed)
            source = source_to_world(scene.depth, filmed).double().inverse()
            lens = scene.depth.intrinsics_at(filmed)
            self._view.show_source(placed(source), vertical_fov(lens), _small(scene.video.frames[filmed].numpy()))
            self._view.show(path, frame, self._show_pictures(frame))
            if self._fly.value:
                self._fly_to(placed(path.world_to_camera[frame]), vertical_fov(path.intrinsics_at(frame)))

    def _show_pictures(self, frame: int) -> np.ndarray | None:
        """Show what is known at a frame and what was made of it; return the first."""
        cam, picture = choice(self._cam), None
        guidance, result = self._watch.guidance.get(cam), self._watch.results.get(cam)
        self._picture.visible, self._result.visible = guidance is not None, result is not None
        if guidance is not None and frame < guidance.num_frames:
            picture = _small(with_holes(guidance.color[frame], guidance.mask[frame]).numpy())
            self._picture.image = picture
            self._picture.label = f"What is known: {self._shares[cam][frame]:.0%}" if cam in self._shares else ""
        if result is not None and frame < result.num_frames:
            self._result.image = _small(result.frames[frame].numpy())
        return picture

    def _land(self) -> None:
        put(self._fly, False)
        self._fly_or_land()

    def _fly_or_land(self) -> None:
        self._show_path()
        if self._fly.value:
            self._show()
        else:
            self._look_over()

    def _fly_to(self, camera: Placed, fov: float) -> None:
        for client in self._server.get_clients().values():
            with client.atomic():
                client.camera.wxyz, client.camera.position = camera.wxyz, camera.position
                client.camera.fov = fov

    def _recolor(self) -> None:
        if self._scenery is not None:
            self._scenery.colors = cast(Colors, choice(self._colors))
            self._stale = True

    def _begin_keyframes(self) -> None:
        path = self._path()
        if path is not None and self._editor is not None:
            self._editor.begin(path, whole(self._count))

    def _drop_keyframe(self) -> None:
        if self._editor is not None:
            self._editor.drop()

    def _show_hidden(self) -> None:
        if self._scenery is not None:
            self._scenery.show_hidden(self._hidden.value)

    def _show_path(self) -> None:
        if self._view is not None:
            flying = self._fly.value  # they would be right before the eye
            self._view.set_visible(path=self._path_shown.value and not flying, source=not flying)
            if self._editor is not None:
                self._editor.set_visible(not flying)

    def _add_view(self, event: viser.GuiEvent[viser.GuiButtonHandle]) -> None:
        if event.client is not None and self._editor is not None:
            self._editor.add(Placed(event.client.camera.wxyz, event.client.camera.position))

    def _save(self) -> None:
        if self._editor is None:
            self._said.content = "There is no scene yet: the run has not got to its depth."
            return
        replace = bool(self._replace.value)
        put(self._replace, False)  # it applies to one save only
        try:
            file = self._editor.save(self._watch.folder / "paths", self._name.value.strip(), replace=replace)
        except Ex4dError as error:
            self._said.content = f"**Not saved**: {text_as_markdown(error)}"
            return
        command = command_for(file, self._watch.folder)
        self._said.content = f"Saved. Type {text_as_markdown(command, most=len(command))}"

    def _tell_state(self, meshes: int | None = None) -> None:
        watch = self._watch
        trouble = [f"**Not read**: {text_as_markdown(line)}" for line in watch.trouble.splitlines()[:MOST_TROUBLES]]
        if self._scenery is None:
            waiting = "**Waiting for the run's depth.** The scene appears as soon as it is there."
            self._tell(*trouble or [waiting])
            return
        total = len(self._scenery.frames)
        lines = [*trouble, f"Depth is here; meshes {total if meshes is None else meshes} of {total}"]
        for cam in watch.paths:
            done = "result" if cam in watch.results else "guidance" if cam in watch.guidance else "path only, so far"
            lines.append(f"{text_as_markdown(f'--cam {cam}')}: {done}")
        self._tell(*lines, self._scenery.facts())

    def _tell(self, *lines: str) -> None:
        self._state.content = lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)


def command_for(path: Path, run: Path) -> str:
    """Return what to type to run the clip of a run along a path in a file."""
    words = ["ex4d", "run", "--config", run / CONFIG, "-o", run.parent, "--cam", cam_of_file(path)]
    return shlex.join(map(str, words))


def _small(picture: np.ndarray) -> np.ndarray:
    longer = max(picture.shape[:2])
    if longer <= PICTURE_SIDE:
        return picture
    size = [max(1, round(side * PICTURE_SIDE / longer)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
