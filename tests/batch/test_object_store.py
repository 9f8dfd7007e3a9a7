"""Tests of folders in an object store, against a local stand-in for S3."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from threading import Event

import pytest
from batchfakes import JOB, Recorder, direct_engine, restored

from restore.batch.folder import open_folder
from restore.batch.run import BatchOptions, run_batch

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install s3fs 'moto[server,s3]'")
moto_server = pytest.importorskip("moto.server", reason="moto is not installed")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URL of an empty bucket."""
    import fsspec  # noqa: PLC0415

    server = moto_server.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "k", "secret": "s", "endpoint_url": f"http://{host}:{port}"}
    with pytest.MonkeyPatch.context() as patches:
        patches.setitem(fsspec.config.conf, "s3", options)
        name = uuid.uuid4().hex
        fsspec.filesystem("s3").mkdir(name)
        yield f"s3://{name}"
    server.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_batch_between_two_folders_of_a_bucket(bucket: str) -> None:
    source = open_folder(f"{bucket}/in")
    for name in ("a.jpg", "sub/b.png"):
        source.write(name, b"photo")
    options = BatchOptions(f"{bucket}/in", f"{bucket}/out", JOB)
    assert run_batch(options, direct_engine, Recorder(), Event()).done == 2
    target = open_folder(options.target)
    assert [entry.name for entry in target.entries()] == ["a.jpg", "sub/b.jpg"]
    assert target.read("sub/b.jpg") == restored(b"photo")
    assert run_batch(options, direct_engine, Recorder(), Event()).plan.done == 2
    source.write("a.jpg", b"another photo")
    again = run_batch(replace(options, limit=5), direct_engine, Recorder(), Event())
    assert (again.done, again.plan.changed) == (1, 1)
