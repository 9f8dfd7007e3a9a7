"""Tests of the weights policies: which files serve a request for a variant."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from downloadfixtures import set_free_bytes
from fileserver import FileServer, closed_port_url, sha256_of
from weightrows import BODY, LITE_BODY, OTHER, lite_row, put, row

from restore.errors import Code, RestoreError
from restore.models.catalog import Catalog
from restore.models.policy import Policy, resolve
from restore.models.store import WeightStore

StoreOf = Callable[..., WeightStore]


def test_official_returns_network_and_partners(store_of: StoreOf, server: FileServer) -> None:
    net = row("a", server.add("a", BODY))
    facts = {"variant": "other", "also_serves": ("a",), "role": "denoise_partner"}
    partner = row("p", server.add("p", OTHER), body=OTHER, **facts)
    resolved = resolve(store_of(net, partner, lite_row()), "upscale", "a", Policy.OFFICIAL)
    assert (resolved.net.row, resolved.variant, resolved.warnings) == (net, "a", ())
    partners = {role: file.row for role, file in resolved.partners.items()}
    assert partners == {"denoise_partner": partner}


@pytest.mark.parametrize("missing", ["net", "partner"])
def test_official_has_no_fallback(store_of: StoreOf, server: FileServer, missing: str) -> None:
    net = row("a", server.url("absent") if missing == "net" else server.add("a", BODY))
    partner = row("p", server.url("absent"), variant="a", role="parser")
    with pytest.raises(RestoreError) as caught:
        resolve(store_of(net, partner, lite_row()), "upscale", "a", Policy.OFFICIAL)
    assert caught.value.code is Code.WEIGHTS_UNREACHABLE


def test_lite_makes_no_request(store_of: StoreOf, server: FileServer) -> None:
    store = store_of(row("a", server.add("a", BODY)), lite_row())
    resolved = resolve(store, "upscale", "a", Policy.LITE)
    assert (resolved.net.row.id, resolved.variant) == ("lite-upscale", "lite")
    assert (resolved.partners, resolved.warnings) == ({}, ())
    assert server.log == []


@pytest.mark.parametrize("policy", Policy)
def test_variant_lite_is_available_under_every_policy(store_of: StoreOf, policy: Policy) -> None:
    resolved = resolve(store_of(lite_row()), "upscale", "lite", policy)
    assert (resolved.net.row.id, resolved.warnings) == ("lite-upscale", ())


@pytest.mark.parametrize("policy", [Policy.AUTO, Policy.LITE])
def test_fallback_for_selects_the_embedded_network(
    store_of: StoreOf, server: FileServer, policy: Policy
) -> None:
    other = row("other", variant="lite_a", fallback_for=("a",), body=LITE_BODY, embedded=True)
    official = [row(name, server.url("absent")) for name in ("a", "b")]
    store = store_of(*official, lite_row(), other)
    resolved = [resolve(store, "upscale", variant, policy) for variant in ("a", "b", "lite_a")]
    assert [one.variant for one in resolved] == ["lite_a", "lite", "lite_a"]
    assert [one.net.row.id for one in resolved] == ["other", "lite-upscale", "other"]
    is_auto = policy is Policy.AUTO
    assert [bool(one.warnings) for one in resolved] == [is_auto, is_auto, False]


def test_lite_networks_have_partners(store_of: StoreOf) -> None:
    partner = row("p", variant="lite", role="x2_partner", body=LITE_BODY, embedded=True)
    resolved = resolve(store_of(lite_row(), partner), "upscale", "lite", Policy.OFFICIAL)
    assert {role: file.row for role, file in resolved.partners.items()} == {"x2_partner": partner}


def test_auto_prefers_official_weights(store_of: StoreOf, server: FileServer) -> None:
    store = store_of(row("a", server.add("a", BODY)), lite_row())
    resolved = resolve(store, "upscale", "a", Policy.AUTO)
    assert (resolved.variant, resolved.warnings) == ("a", ())


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("absent", "HTTP 404"),
        ("offline", "missing"),
        ("full", "no space"),
        ("wrong", sha256_of(OTHER)),
        ("partner", "p.pth"),
    ],
)
def test_auto_uses_the_fallback_and_warns_why(
    store_of: StoreOf,
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
    cause: str,
    words: str,
) -> None:
    url = server.add("wrong", OTHER) if cause == "wrong" else server.url("absent")
    rows = [row("a", url), lite_row()]
    if cause == "full":
        set_free_bytes(monkeypatch, 1)
    if cause in ("full", "partner"):
        server.add("absent", BODY)
    if cause == "partner":
        rows.append(row("p", server.url("nowhere"), variant="a", role="parser"))
    store = store_of(*rows, offline=cause == "offline")
    resolved = resolve(store, "upscale", "a", Policy.AUTO)
    assert (resolved.net.row.id, resolved.variant) == ("lite-upscale", "lite")
    assert resolved.partners == {}
    (warning,) = resolved.warnings
    assert words in warning


@pytest.mark.parametrize("policy", [Policy.AUTO, Policy.OFFICIAL])
def test_corrupt_file_has_no_fallback(
    store_of: StoreOf, server: FileServer, policy: Policy
) -> None:
    store = store_of(net := row("a", server.add("a", BODY)), lite_row())
    put(store, net, OTHER)
    with pytest.raises(RestoreError, match=r"a\.pth") as caught:
        resolve(store, "upscale", "a", policy)
    assert caught.value.code is Code.WEIGHTS_CORRUPT


@pytest.mark.parametrize("policy", [Policy.AUTO, Policy.LITE])
def test_task_without_lite_weights(store_of: StoreOf, server: FileServer, policy: Policy) -> None:
    store = store_of(row("a", server.url("absent"), task="colorize"), lite_row())
    with pytest.raises(RestoreError, match="'colorize'") as caught:
        resolve(store, "colorize", "a", policy)
    assert caught.value.code is Code.WEIGHTS_MISSING
    assert ("HTTP 404" in str(caught.value)) is (policy is Policy.AUTO)


@pytest.mark.parametrize("policy", Policy)
def test_unknown_variant_is_rejected(store_of: StoreOf, policy: Policy) -> None:
    with pytest.raises(RestoreError) as caught:
        resolve(store_of(lite_row()), "upscale", "x9", policy)
    assert caught.value.code is Code.OPTION_INVALID


def test_auto_without_network_takes_seconds_for_all_rows(tmp_path: Path) -> None:
    tasks, url = ("upscale", "restore"), closed_port_url("file")
    official = [
        checkpoint.model_copy(update={"urls": (url,) * 3, "index_copy": None})
        for checkpoint in Catalog.load().rows
        if checkpoint.task in tasks and not checkpoint.embedded
    ]
    catalog = Catalog((*official, *(lite_row(task) for task in tasks)), tmp_path)
    (tmp_path / "lite").mkdir()
    for task in tasks:
        (tmp_path / "lite" / f"lite-{task}.pth").write_bytes(LITE_BODY)
    store = WeightStore(catalog, tmp_path)
    began = time.monotonic()
    resolved = [
        resolve(store, task, variant) for task in tasks for variant in catalog.variants(task)
    ]
    assert time.monotonic() - began < 5
    assert {one.variant for one in resolved} == {"lite"}
    assert sum(bool(one.warnings) for one in resolved) == 7


def test_local_uses_files_on_this_machine_and_never_downloads(
    store_of: StoreOf, server: FileServer
) -> None:
    net = row("a", server.add("a", BODY))
    store = store_of(net, lite_row(), offline=True)
    fallback = resolve(store, "upscale", "a", Policy.LOCAL)
    assert fallback.variant == "lite"
    assert "a.pth" in fallback.warnings[0]
    assert server.log == []
    put(store, net, BODY)
    assert resolve(store, "upscale", "a", Policy.LOCAL).variant == "a"
