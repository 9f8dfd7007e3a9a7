"""Tests of hosts that cannot be reached or do not answer: their timeouts are paid once."""

import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fileserver import FileServer, SilentPort, closed_port_url
from weightrows import BODY, LITE_BODY, lite_row, row

from restore.errors import RestoreError
from restore.models.catalog import Catalog
from restore.models.download import Downloader
from restore.models.host_status import HostStatus, UnreachableHostError
from restore.models.partial_download import DownloadTarget
from restore.models.patience import BRIEF, PATIENT, Patience
from restore.models.policy import Policy, Resolved, resolve
from restore.models.store import WeightStore

QUICK = Patience(0.05, 0.05, attempts=1, budget_s=10, probe_timeout_s=0.05)
QUICK_BUT_PATIENT = Patience(connect_timeout_s=0.05, read_timeout_s=0.05, attempts=3)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentPort]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    port = SilentPort()
    yield port
    port.close()


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts whose names are resolved, which happens once for each connection."""
    hosts: list[str] = []
    original = socket.getaddrinfo

    def record(host: str, *args: Any, **kwargs: Any) -> Any:
        hosts.append(host)
        return original(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", record)
    return hosts


def downloader_with(patience: Patience) -> Downloader:
    return Downloader(pause=lambda _: None, hosts=HostStatus(patience))


def failures_of(downloader: Downloader, folder: Path, *urls: str) -> list[str]:
    """The errors of downloads that all fail at their hosts."""
    messages = []
    for url in urls:
        with pytest.raises(UnreachableHostError) as caught:
            downloader.fetch(DownloadTarget(folder / "net.pth"), url)
        messages.append(str(caught.value))
    return messages


@pytest.mark.parametrize(("patience", "attempts"), [(QUICK, 2), (QUICK_BUT_PATIENT, 3)])
def test_silent_host_is_given_up_once_for_all_files(
    silent: SilentPort,
    connections: list[str],
    tmp_path: Path,
    patience: Patience,
    attempts: int,
) -> None:
    downloader = downloader_with(patience)
    urls = [f"http://{silent.address}/{name}" for name in "abc"]
    messages = failures_of(downloader, tmp_path, *urls)
    assert f"{silent.address} does not answer" in messages[0]
    assert len(set(messages)) == 1
    assert len(connections) == attempts  # the probe counts as one


def test_silent_proxy_is_given_up_once_for_all_hosts(
    silent: SilentPort,
    connections: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_PROXY")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://user:secret@{silent.address}")
    downloader = downloader_with(QUICK)
    urls = [f"https://{host}.example/net" for host in ("one", "two", "three")]
    messages = failures_of(downloader, tmp_path, *urls)
    assert silent.address in messages[0]
    assert "secret" not in messages[0]
    assert len(set(messages)) == 1
    assert set(connections) == {"127.0.0.1"}
    assert len(connections) == 2


def test_refused_connection_is_remembered(connections: list[str], tmp_path: Path) -> None:
    url = closed_port_url("a")
    messages = failures_of(downloader_with(QUICK), tmp_path, url, url + "-mirror")
    assert "cannot be reached (connection refused)" in messages[0]
    assert len(connections) == 1


def test_name_that_does_not_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for patience in (QUICK, QUICK_BUT_PATIENT):
        (message,) = failures_of(downloader_with(patience), tmp_path, "http://x.example/net")
        assert "x.example cannot be reached" in message
        assert "ame or service not known)" in message
        assert "Errno" not in message


def test_name_resolution_that_hangs_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30) and [])
    (message,) = failures_of(downloader_with(QUICK), tmp_path, "http://x.example/net")
    release.set()
    assert "no answer within" in message


def test_budget_is_for_all_hosts_together(
    silent: SilentPort, connections: list[str], tmp_path: Path
) -> None:
    patience = Patience(0.05, 0.05, attempts=1, budget_s=0.01, probe_timeout_s=0.05)
    urls = (f"http://{silent.address}/net", "http://other.example/net")
    messages = failures_of(downloader_with(patience), tmp_path, *urls)
    assert messages[1].startswith(f"other.example not tried: {silent.address}")
    assert set(connections) == {"127.0.0.1"}


def test_host_that_delivered_something_is_waited_for_patiently(
    server: FileServer, tmp_path: Path
) -> None:
    downloader = downloader_with(BRIEF)
    downloader.fetch(DownloadTarget(tmp_path / "a"), server.add("a", BODY))
    url = server.add("b", BODY, cuts=[0, 0])
    assert downloader.hosts.timeouts_s(url) == (PATIENT.connect_timeout_s, PATIENT.read_timeout_s)
    assert downloader.fetch(DownloadTarget(tmp_path / "b"), url).bytes == len(BODY)


def test_busy_server_is_tried_again_briefly_too(server: FileServer, tmp_path: Path) -> None:
    url = server.add("a", BODY, statuses=[503, 429])
    assert downloader_with(BRIEF).fetch(DownloadTarget(tmp_path / "a"), url).bytes == len(BODY)


class TestFallback:
    def resolve_all(self, folder: Path, *urls: str) -> tuple[WeightStore, list[Resolved]]:
        """Resolve one variant per address with the policy `auto`."""
        (folder / "lite").mkdir()
        (folder / "lite" / "lite-upscale.pth").write_bytes(LITE_BODY)
        rows = [row(f"net-{index}", url) for index, url in enumerate(urls)]
        catalog = Catalog((*rows, lite_row()), folder)
        downloader = downloader_with(QUICK)
        store = WeightStore(catalog, folder, downloader=downloader, environment={})
        return store, [resolve(store, "upscale", one.variant, Policy.AUTO) for one in rows]

    def test_one_short_warning_and_one_line_of_log_for_all_variants(
        self, silent: SilentPort, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        urls = [f"http://{silent.address}/some/long/path/{name}" for name in "abcd"]
        with caplog.at_level(logging.INFO):
            _, resolved = self.resolve_all(tmp_path, *urls, closed_port_url("e"))
        warnings = {warning for one in resolved for warning in one.warnings}
        assert len(warnings) == 1
        (warning,) = warnings
        assert silent.address in warning
        assert len(warning) < 200
        assert [record.message for record in caplog.records if "lite" in record.message] == [
            warning
        ]

    def test_missing_file_of_a_reachable_host_is_named(
        self, server: FileServer, tmp_path: Path
    ) -> None:
        _, resolved = self.resolve_all(tmp_path, closed_port_url("a"), server.url("absent"))
        assert "cannot be reached" in resolved[0].warnings[0]
        assert "net-1.pth" in resolved[1].warnings[0]
        assert "HTTP 404" in resolved[1].warnings[0]

    def test_official_names_the_host(self, silent: SilentPort, tmp_path: Path) -> None:
        store, _ = self.resolve_all(tmp_path, f"http://{silent.address}/a")
        with pytest.raises(RestoreError, match=f"{silent.address} does not answer"):
            resolve(store, "upscale", "net-0", Policy.OFFICIAL)
