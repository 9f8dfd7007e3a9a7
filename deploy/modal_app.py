"""Restore on Modal: a GPU function that scales to zero, and an HTTP function in front of it.

    modal run deploy/modal_app.py --photo photo.jpg       # restored.jpg
    modal deploy deploy/modal_app.py                      # prints the URL of `web`

These are functions, and not the job service: Modal has a queue, retries and workers of its own, and
ends a container that answers no request, even if it has jobs in a queue. `web` is an ASGI app that
passes photos to the function `Photos.run`. It needs a proxy token of the workspace, which clients
send as the headers `Modal-Key` and `Modal-Secret`:

    curl https://WORKSPACE--restore-web.modal.run/upscale -H "Modal-Key: $KEY" \\
      -H "Modal-Secret: $SECRET" -F image=@photo.jpg -F 'options={"scale": 2}' -o result.jpg

Downloaded weights stay in a volume. RESTORE_WEIGHTS of the machine that deploys selects them; the
default is the embedded ones.
"""

from __future__ import annotations

import json
import mimetypes
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal

if TYPE_CHECKING:
    from starlette.applications import Starlette

PROJECT = Path(__file__).resolve().parent.parent
WEIGHTS = "/weights"
SOURCE = "/src"
IDLE_S = 120
"""Time without a photo after which a container ends."""
MAX_SECONDS = 1800
"""Limit of one call."""

OF_REQUEST = ("[E1", "[E2", "[E3")
"""Begin of the messages about a request; others are about the service."""

RunPhoto = Callable[[str, str, bytes, dict[str, Any]], Awaitable[tuple[str, bytes]]]


def project_image() -> modal.Image:
    """Return an image with this checkout, installed as in deploy/Dockerfile."""
    requirements = f"-r {SOURCE}/requirements.txt -r {SOURCE}/requirements-service.txt"
    image: modal.Image = (
        modal.Image.debian_slim(python_version="3.12")
        .apt_install("libgl1", "libglib2.0-0", "gcc", "libc6-dev")
        .env({"RESTORE_WEIGHTS": os.environ.get("RESTORE_WEIGHTS", "lite")})
        .env({"RESTORE_WEIGHTS_DIR": WEIGHTS})
    )
    if modal.is_local():
        ignored = modal.FilePatternMatcher.from_file(PROJECT / ".dockerignore")
        image = image.add_local_dir(PROJECT, SOURCE, copy=True, ignore=ignored).run_commands(
            f"pip install --no-cache-dir -c {SOURCE}/constraints.txt {requirements}",
            f"pip install --no-cache-dir --no-deps {SOURCE}",
        )
    return image


app = modal.App("restore", image=project_image())
weights = modal.Volume.from_name("restore-weights", create_if_missing=True)


@app.cls(
    gpu="L4",
    volumes={WEIGHTS: weights},
    memory=8192,
    min_containers=0,
    max_containers=10,
    scaledown_window=IDLE_S,
    timeout=MAX_SECONDS,
    startup_timeout=MAX_SECONDS,
)
class Photos:
    """Restores photos on a GPU, one at a time in each container."""

    @modal.enter()
    def load(self) -> None:
        """Load the networks of all tasks, and keep what was downloaded."""
        from restore import Restorer  # noqa: PLC0415 - the image has it, this machine may not

        self.restorer = Restorer(preload=os.environ.get("RESTORE_PRELOAD", "all"))
        if not modal.is_local():
            weights.commit()

    @modal.method()
    def run(self, task: str, name: str, photo: bytes, options: dict[str, Any]) -> tuple[str, bytes]:
        """Restore one photo.

        Args:
            task: one of `restore.options.TASKS`.
            name: file name of the photo, for messages and the name of the result; folders in it
                are left out.
            photo: the content of its file.
            options: inputs of the task; see docs/inputs.md.

        Returns:
            File name and content of the result.

        Raises:
            ValueError: with the message of the RestoreError, which has a code. Modal cannot send an
                exception whose class the caller may not have.
        """
        from restore import RestoreError  # noqa: PLC0415
        from restore.imaging.named_file import NamedFile  # noqa: PLC0415
        from restore.service.file_names import clean_name  # noqa: PLC0415

        name = clean_name(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "photo"
            path.write_bytes(photo)
            try:
                results = self.restorer.run(task, [NamedFile(name, path)], **options)
                result, *_ = results.save(Path(folder) / "out")
            except RestoreError as error:
                raise ValueError(str(error)) from None
            return f"{Path(name).stem}{result.suffix}", result.read_bytes()


def web_app(run: RunPhoto) -> Starlette:
    """Return the HTTP app: POST /{task} with a form.

    Args:
        run: restores a photo, as `Photos.run` does.
    """
    from starlette.applications import Starlette  # noqa: PLC0415 - not needed to deploy
    from starlette.datastructures import UploadFile  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import JSONResponse, Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def restore_photo(request: Request) -> Response:
        """Restore the photo `image` of a form; its field `options` is an object in JSON."""
        async with request.form(max_files=1, max_fields=1) as form:
            photo = form.get("image")
            if not isinstance(photo, UploadFile):
                return JSONResponse({"detail": "the form has no file named image"}, 422)
            content, name = await photo.read(), photo.filename or ""
            try:
                options = dict(json.loads(str(form.get("options", "{}"))))
            except (TypeError, ValueError):
                return JSONResponse({"detail": "options is not an object in JSON"}, 422)
        task = str(request.path_params["task"]).replace("-", "_")
        try:
            result_name, result = await run(task, name, content, options)
        except ValueError as error:
            status = 422 if str(error).startswith(OF_REQUEST) else 500
            return JSONResponse({"detail": str(error)}, status)
        return Response(result, media_type=mimetypes.guess_type(result_name)[0])

    return Starlette(routes=[Route("/{task}", restore_photo, methods=["POST"])])


@app.function(timeout=MAX_SECONDS, min_containers=0, scaledown_window=IDLE_S)
@modal.concurrent(max_inputs=50)
@modal.asgi_app(requires_proxy_auth=True)
def web() -> Starlette:
    """Serve POST /{task} on a CPU, which waits for the GPU function."""
    return web_app(Photos().run.remote.aio)


@app.local_entrypoint()
def main(photo: str, task: str = "pipeline", options: str = "{}") -> None:
    """Restore a photo, and write `restored` with the suffix of its format.

    Args:
        photo: path of the photo.
        task: one of `restore.options.TASKS`.
        options: inputs of the task as an object in JSON.
    """
    path = Path(photo)
    name, result = Photos().run.remote(task, path.name, path.read_bytes(), json.loads(options))
    Path(f"restored{Path(name).suffix}").write_bytes(result)
