"""The page of a run: connects its controls, the scene, the camera paths and the keyframe editor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import viser

from ex4d_core.cameras.language import cam_of_file
from ex4d_core.errors import Ex4dError, InvalidInput
from ex4d_core.geometry.subject import subject_distance
from ex4d_core.page_guard import text_as_markdown
from ex4d_core.types import CameraPath, Scene
from ex4d_viewer.alerts import Alerts
from ex4d_viewer.controls import choice, put, whole
from ex4d_viewer.editor import Editor
from ex4d_viewer.live_preview import LivePreview, Wanted
from ex4d_viewer.page_state import OWN, PageState, command_for
from ex4d_viewer.panel import Handler, Panel
from ex4d_viewer.path_runner import PathRunner, RunStatus
from ex4d_viewer.path_view import PathView
from ex4d_viewer.picture_panel import PicturePanel, resize
from ex4d_viewer.poses import Placed, placed, vertical_fov
from ex4d_viewer.run_panel import RunPanel
from ex4d_viewer.run_watcher import RunWatcher
from ex4d_viewer.scene_view import SceneView
from ex4d_viewer.small_guidance import SmallFrame, SmallGuidance

FRUSTUM = 0.12
"""Depth of the frusta in units of the distance to the subject."""

PREVIEW_EVERY = 0.5
"""Longest wait for a request of a preview in seconds."""


class Page:
    """Shows a run. Threads call `update`, `step` and `preview` repeatedly; a lock separates them from callbacks."""

    def __init__(
        self, server: viser.ViserServer, watcher: RunWatcher, *, detail: int, most_frames: int, over: threading.Event
    ) -> None:
        """Create the controls; the first `update` that finds depth adds the scene.

        Args:
            server: the server of the page.
            watcher: the run.
            detail: points along the longer side of each mesh.
            most_frames: largest number of meshes.
            over: set when the page is about to close; no work is started afterwards.
        """
        self._server, self._watcher, self._over = server, watcher, over
        self._detail, self._most_frames = detail, most_frames
        self._lock = threading.RLock()  # reentrant: setting a control calls its callbacks
        self._scene_view: SceneView | None = None
        self._path_view: PathView | None = None
        self._editor: Editor | None = None
        self._outdated = False
        server.scene.set_up_direction("-y")
        server.scene.configure_environment_map(None)
        server.scene.add_light_ambient("/light", intensity=2.0)
        self._state = PageState(watcher)
        self._panel = Panel(server, f"ex4d: {watcher.folder.name}")
        self._run_panel = RunPanel(server)
        self._pictures = PicturePanel(server)
        self._small: SmallGuidance | None = None
        self._preview = LivePreview(self._show_preview, over)
        self._runner = PathRunner(self._show_run)
        self._finished_cam = ""
        """The path of a run that has finished, until it is selected."""
        self._alerts = Alerts(self._panel.alert)
        self._connect()

    @property
    def pause(self) -> float:
        """Seconds until the next frame is due."""
        return self._panel.pause

    @property
    def state(self) -> str:
        """Status of the run, in Markdown."""
        return str(self._panel.status.content)

    @property
    def alert(self) -> str:
        """Errors of callbacks and threads, in Markdown, or ''."""
        return self._alerts.text

    @property
    def keyframes(self) -> list[Placed]:
        """The keyframes of the path that is edited on the page."""
        return [] if self._editor is None else self._editor.keyframes

    @property
    def pictures(self) -> PicturePanel:
        """The pictures of the current frame."""
        return self._pictures

    @property
    def run_text(self) -> str:
        """Status of the run that was started on the page, in Markdown."""
        return self._run_panel.text

    def showing_errors(self, key: object) -> AbstractContextManager[None]:
        """Show an error of the block on the page, until a block with the same key succeeds."""
        return self._alerts.showing_errors(key)

    def update(self) -> None:
        """Show new results of the run; stops early when the page closes."""
        changed = self._watcher.poll()
        with self._lock:
            scene = self._watcher.scene
            if scene is not None and self._scene_view is None:
                self._add_scene(scene)
            if changed or self._outdated or self._scene_view is None:
                self._list_paths()
                self._show_status()
            if self._finished_cam in self._state.names:
                put(self._panel.path, self._finished_cam)
                self._finished_cam = ""
                self._select_path()
        self._update_meshes()

    def go_to(self, frame: int) -> None:
        """Show a frame of the path."""
        put(self._panel.time, frame)
        self._show()

    def step(self) -> None:
        """Show the next frame, if the page plays."""
        if self._panel.is_playing:
            self.go_to(self._panel.next_frame())

    def preview(self) -> None:
        """Render the newest frame that was asked for, of a path without guidance."""
        if self._small is None and self._path_view is not None:
            self._small = SmallGuidance(self._watcher.clip_run)
        if self._small is None:
            self._over.wait(PREVIEW_EVERY)
        else:
            self._preview.work(self._small.render, timeout=PREVIEW_EVERY)

    def close(self, timeout: float) -> None:
        """Cancel the run that was started on the page, and wait for it, at most `timeout` seconds."""
        self._runner.cancel()
        self._runner.join(timeout)

    def _connect(self) -> None:
        panel = self._panel
        for add_handler, work in (
            (panel.time.on_update, self._show),
            (panel.color_choice.on_update, self._recolor),
            (panel.occluded.on_update, self._show_occluded),
            (panel.source_picture.on_update, self._show),
            (panel.path.on_update, self._select_path),
            (panel.path_shown.on_update, self._show_path),
            (panel.fly.on_update, self._fly_or_land),
            (panel.overview.on_click, self._land),
            (panel.begin.on_click, self._begin_keyframes),
            (panel.drop.on_click, self._drop_keyframe),
            (panel.save.on_click, self._save),
            (self._run_panel.start.on_click, self._start_run),
            (self._run_panel.cancel.on_click, self._cancel_run),
        ):
            self._call(add_handler, work)
        panel.add.on_click(self._guarded(self._add_view))

    def _call(self, add_handler: Callable[[Handler], object], work: Callable[[], None]) -> None:
        add_handler(self._guarded(lambda _: work()))

    def _guarded(self, work: Handler) -> Handler:
        """Return a callback that holds the lock, shows its errors, and does nothing once the page closes."""

        def handle(event: Any) -> None:
            with self._lock, self.showing_errors(work):
                if not self._over.is_set():
                    work(event)

        return handle

    def _add_scene(self, scene: Scene) -> None:
        distance = subject_distance(scene.depth)
        builder = self._watcher.clip_run.components.mesh_builder()
        self._scene_view = SceneView(self._server, scene, builder, detail=self._detail, most_frames=self._most_frames)
        self._path_view = PathView(self._server, size=FRUSTUM * distance)
        if scene.depth.cameras is not None:
            self._path_view.draw_source(scene.depth.cameras)
        self._editor = Editor(
            self._server, scene, size=FRUSTUM * distance, changed=self._set_own_path, guarded=self._guarded
        )
        initial = self._server.initial_camera
        initial.up = np.array([0.0, -1.0, 0.0])
        initial.position = np.array([-0.45, -0.4, -0.6]) * distance
        initial.look_at = np.array([0, 0, 0.8]) * distance
        initial.near, initial.far = distance / 200, distance * 1000
        initial.fov = 0.9
        self._reset_view()
        self._outdated = True

    def _reset_view(self) -> None:
        """Move the camera of every client to the overview of the scene."""
        initial = self._server.initial_camera
        for client in self._server.get_clients().values():
            client.camera.up_direction = initial.up if initial.up is not None else np.array([0.0, -1.0, 0.0])
            client.camera.position, client.camera.look_at = initial.position, initial.look_at
            client.camera.fov = initial.fov

    def _update_meshes(self) -> None:
        """Put the meshes on the page, without the lock: it takes long."""
        if self._scene_view is None or not self._outdated:
            return
        self._outdated, colors = False, self._scene_view.colors
        for count in self._scene_view.fill():
            if self._over.is_set() or self._scene_view.colors != colors:
                self._outdated = True
                return
            self._show_status(count)
            if count == 1:
                self._show()
        self._show()
        self._show_status()

    def _show_status(self, meshes: int | None = None) -> None:
        view = self._scene_view
        total, facts = (0, "") if view is None else (len(view.frames), view.facts())
        self._panel.status.content = self._state.status(meshes=meshes, total=total, facts=facts)

    def _list_paths(self) -> None:
        if self._panel.list_paths(self._state.names):
            self._select_path()

    def _select_path(self) -> None:
        with self._lock:
            path = self._state.path(choice(self._panel.path))
            if path is None or self._path_view is None:
                return
            self._path_view.draw(path)
            self._panel.set_length(path.num_frames)
            self._show()

    def _set_own_path(self, path: CameraPath) -> None:
        """Show the path through the keyframes."""
        with self._lock:
            self._state.own = path
            self._list_paths()
            if self._panel.path.value != OWN:
                put(self._panel.path, OWN)
            self._select_path()

    def _show(self) -> None:
        """Show the selected frame of the selected path."""
        with self._lock, self._server.atomic():
            name = choice(self._panel.path)
            path, scene = self._state.path(name), self._watcher.scene
            if path is None or scene is None or self._scene_view is None or self._path_view is None:
                return
            frame = min(whole(self._panel.time), path.num_frames - 1)
            source_frame = min(path.frame_shown(frame), scene.video.num_frames - 1)
            self._scene_view.show(source_frame)
            source = scene.depth.source_to_world(source_frame).double().inverse()
            intrinsics = scene.depth.intrinsics_at(source_frame)
            picture, picture_shown = resize(scene.video.frames[source_frame].numpy()), self._panel.source_picture.value
            self._path_view.show_source(
                placed(source), vertical_fov(intrinsics), picture, picture_shown=bool(picture_shown)
            )
            self._pictures.show_input(picture)
            pictures = self._state.pictures(name, frame)
            self._pictures.show_guidance(pictures.guidance, pictures.visible, is_preview=pictures.is_preview)
            self._pictures.show_result(pictures.result)
            self._path_view.show(path, frame, pictures.guidance)
            self._preview.ask(None if self._state.has_guidance(name) else Wanted(name, path, frame))
            if self._panel.fly.value:
                self._fly_to(placed(path.world_to_camera[frame]), vertical_fov(path.intrinsics_at(frame)))

    def _show_preview(self, wanted: Wanted, small: SmallFrame) -> None:
        """Show a preview, if its path is still selected."""
        with self._lock, self._server.atomic():
            if self._path_view is None or choice(self._panel.path) != wanted.name or self._over.is_set():
                return
            self._state.preview = wanted.name, small
            if not self._state.has_guidance(wanted.name):
                self._pictures.show_guidance(small.picture, small.visible, is_preview=True)
                self._path_view.show_picture(small.picture)

    def _land(self) -> None:
        put(self._panel.fly, False)
        self._fly_or_land()

    def _fly_or_land(self) -> None:
        self._show_path()
        if self._panel.fly.value:
            self._show()
        else:
            self._reset_view()

    def _fly_to(self, camera: Placed, fov: float) -> None:
        for client in self._server.get_clients().values():
            with client.atomic():
                client.camera.wxyz, client.camera.position = camera.wxyz, camera.position
                client.camera.fov = fov

    def _recolor(self) -> None:
        if self._scene_view is not None:
            self._scene_view.colors = self._panel.colors
            self._outdated = True

    def _show_occluded(self) -> None:
        if self._scene_view is not None:
            self._scene_view.show_occluded(self._panel.occluded.value)

    def _show_path(self) -> None:
        if self._path_view is not None:
            flying = self._panel.fly.value  # frusta would block the view
            self._path_view.set_visible(path=self._panel.path_shown.value and not flying, source=not flying)
            if self._editor is not None:
                self._editor.set_visible(not flying)

    def _begin_keyframes(self) -> None:
        path = self._state.path(choice(self._panel.path))
        if path is not None and self._editor is not None:
            self._editor.begin(path, whole(self._panel.count))

    def _drop_keyframe(self) -> None:
        if self._editor is not None:
            self._editor.drop()

    def _add_view(self, event: viser.GuiEvent[viser.GuiButtonHandle]) -> None:
        if event.client is not None and self._editor is not None:
            self._editor.add(Placed(event.client.camera.wxyz, event.client.camera.position))

    def _save(self) -> None:
        try:
            file = self._save_keyframes()
        except Ex4dError as error:
            self._panel.save_result.content = f"**Not saved**: {text_as_markdown(error)}"
            return
        command = command_for(file, self._watcher.folder)
        self._panel.save_result.content = f"Saved. Run {text_as_markdown(command, most=len(command))}"

    def _save_keyframes(self) -> Path:
        """Write the keyframes to the file that the controls name.

        Raises:
            Ex4dError: there is no path, or it cannot be saved.
        """
        if self._editor is None:
            raise InvalidInput("the run has no depth yet")
        replace, name = self._panel.take_replace(), self._panel.name.value.strip()
        return self._editor.save(self._watcher.folder / "paths", name, replace=replace)

    def _start_run(self) -> None:
        """Run the selected path; the user's own one is saved first."""
        cam = choice(self._panel.path)
        try:
            if self._state.path(cam) is None:
                raise InvalidInput("no path is selected yet; the paths appear with the depth of the run")
            if cam == OWN:
                self._runner.start(self._watcher.clip_run, cam_of_file(self._save_keyframes()), cam_folder="")
            else:
                self._runner.start(self._watcher.clip_run, cam)
        except Ex4dError as error:
            self._run_panel.refuse(str(error))

    def _cancel_run(self) -> None:
        self._runner.cancel()
        self._run_panel.show_canceling()

    def _show_run(self, status: RunStatus) -> None:
        """Show the status of the run; `update` selects its path once it is finished."""
        with self._lock, self.showing_errors("run"):
            if self._over.is_set():
                return
            self._run_panel.show(status)
            if status.state == "finished":
                self._finished_cam = status.cam
