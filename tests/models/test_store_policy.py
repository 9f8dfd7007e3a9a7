"""The policies choose as they say; the table tells what is there, and the bake commands fetch it."""

import os
import shutil
import time
from pathlib import Path

import pytest
from fileserver import closed_port_url, sha
from weightrows import BODY, LITE_BODY, OTHER, lite_row, put, row

from restore.errors import Code, RestoreError
from restore.models.catalog import Catalog, Checkpoint
from restore.models.store import Policy, WeightStore, bake_commands, render_table, table


class TestPolicies:
    def test_official(self, store_of, server):
        net = row("a", server.add("a", BODY))
        partner = row(
            "p",
            server.add("p", OTHER),
            body=OTHER,
            variant="other",
            also_serves=("a",),
            role="denoise_partner",
        )
        resolved = store_of(net, partner, lite_row()).resolve("upscale", "a", Policy.OFFICIAL)
        assert (resolved.net.row, resolved.variant, resolved.warnings) == (net, "a", ())
        assert {role: file.row for role, file in resolved.partners.items()} == {
            "denoise_partner": partner
        }

    @pytest.mark.parametrize("lost", ["net", "partner"])
    def test_official_never_falls_back(self, store_of, server, lost):
        net = row("a", server.url("absent") if lost == "net" else server.add("a", BODY))
        partner = row("p", server.url("absent"), variant="a", role="parser")
        with pytest.raises(RestoreError) as refused:
            store_of(net, partner, lite_row()).resolve("upscale", "a", Policy.OFFICIAL)
        assert refused.value.code is Code.WEIGHTS_UNREACHABLE

    def test_lite_touches_no_network(self, store_of, server):
        resolved = store_of(row("a", server.add("a", BODY)), lite_row()).resolve(
            "upscale", "a", Policy.LITE
        )
        assert (resolved.net.row.id, resolved.variant, resolved.partners, resolved.warnings) == (
            "lite-upscale",
            "lite",
            {},
            (),
        )
        assert server.log == []

    @pytest.mark.parametrize("policy", Policy)
    def test_the_variant_lite_is_itself_under_every_policy(self, store_of, policy):
        resolved = store_of(lite_row()).resolve("upscale", "lite", policy)
        assert (resolved.net.row.id, resolved.warnings) == ("lite-upscale", ())

    @pytest.mark.parametrize("policy", [Policy.AUTO, Policy.LITE])
    def test_an_embedded_network_stands_in_for_the_variants_it_names(
        self, store_of, server, policy
    ):
        other = row("other", variant="lite_a", stands_in_for=("a",), body=LITE_BODY, embedded=True)
        store = store_of(
            row("a", server.url("absent")), row("b", server.url("absent")), lite_row(), other
        )
        resolved = [store.resolve("upscale", variant, policy) for variant in ("a", "b", "lite_a")]
        assert [answer.variant for answer in resolved] == ["lite_a", "lite", "lite_a"]
        assert [answer.net.row.id for answer in resolved] == ["other", "lite-upscale", "other"]
        assert [bool(answer.warnings) for answer in resolved] == [
            policy is Policy.AUTO,
            policy is Policy.AUTO,
            False,
        ]

    def test_lite_networks_have_partners_too(self, store_of):
        partner = row("p", variant="lite", role="twice", body=LITE_BODY, embedded=True)
        resolved = store_of(lite_row(), partner).resolve("upscale", "lite", Policy.OFFICIAL)
        assert {role: file.row for role, file in resolved.partners.items()} == {"twice": partner}

    def test_auto_prefers_the_official_one(self, store_of, server):
        resolved = store_of(row("a", server.add("a", BODY)), lite_row()).resolve(
            "upscale", "a", Policy.AUTO
        )
        assert (resolved.variant, resolved.warnings) == ("a", ())

    @pytest.mark.parametrize("why", ["absent", "offline", "full", "wrong", "partner"])
    def test_auto_falls_back_and_says_why(self, store_of, server, monkeypatch, why):
        rows = [
            row("a", server.add("wrong", OTHER) if why == "wrong" else server.url("absent")),
            lite_row(),
        ]
        if why == "full":
            usage = shutil.disk_usage("/")
            monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1))
        if why in ("full", "partner"):
            server.add("absent", BODY)
        if why == "partner":
            rows.append(row("p", server.url("nowhere"), variant="a", role="parser"))
        resolved = store_of(*rows, offline=why == "offline").resolve("upscale", "a", Policy.AUTO)
        assert (resolved.net.row.id, resolved.variant, resolved.partners) == (
            "lite-upscale",
            "lite",
            {},
        )
        (warning,) = resolved.warnings
        words = {
            "absent": "HTTP 404",
            "offline": "missing",
            "full": "no space",
            "wrong": sha(OTHER),
            "partner": "p.pth",
        }
        assert words[why] in warning

    @pytest.mark.parametrize("policy", [Policy.AUTO, Policy.OFFICIAL])
    def test_a_damaged_file_is_never_passed_over(self, store_of, server, policy):
        store = store_of(net := row("a", server.add("a", BODY)), lite_row())
        put(store, net, OTHER)
        with pytest.raises(RestoreError, match=r"a\.pth") as refused:
            store.resolve("upscale", "a", policy)
        assert refused.value.code is Code.WEIGHTS_CORRUPT

    @pytest.mark.parametrize("policy", [Policy.AUTO, Policy.LITE])
    def test_a_task_without_lite_weights(self, store_of, server, policy):
        store = store_of(row("a", server.url("absent"), task="colorize"), lite_row())
        with pytest.raises(RestoreError, match="'colorize'") as refused:
            store.resolve("colorize", "a", policy)
        assert refused.value.code is Code.WEIGHTS_MISSING
        assert ("HTTP 404" in str(refused.value)) is (policy is Policy.AUTO)

    @pytest.mark.parametrize("policy", Policy)
    def test_an_unknown_variant(self, store_of, policy):
        with pytest.raises(RestoreError) as refused:
            store_of(lite_row()).resolve("upscale", "x9", policy)
        assert refused.value.code is Code.OPTION_INVALID

    def test_without_a_network_auto_takes_seconds_for_all_rows(self, tmp_path):
        dead = closed_port_url("file")
        shipped = [
            checkpoint
            for checkpoint in Catalog.load().rows
            if checkpoint.task in ("upscale", "restore")
        ]
        moved = [
            checkpoint.model_copy(update={"urls": (dead,) * 3})
            for checkpoint in shipped
            if not checkpoint.embedded
        ]
        catalog = Catalog((*moved, lite_row("upscale"), lite_row("restore")), tmp_path)
        (tmp_path / "lite").mkdir()
        for task in ("upscale", "restore"):
            (tmp_path / "lite" / f"lite-{task}.pth").write_bytes(LITE_BODY)
        store = WeightStore(catalog, tmp_path)
        began = time.monotonic()
        resolved = [
            store.resolve(task, variant)
            for task in ("upscale", "restore")
            for variant in catalog.variants(task)
        ]
        assert time.monotonic() - began < 5
        assert {answer.variant for answer in resolved} == {"lite"}
        assert sum(bool(answer.warnings) for answer in resolved) == 7


class TestTable:
    def test_states_and_sums(self, store_of):
        rows = (
            row("a", "https://x.org/a"),
            row(
                "b",
                "https://x.org/b",
                sha256=None,
                bytes=None,
                bytes_about=452_000_000,
                commercial_use=False,
            ),
            row("c", "https://x.org/c"),
            row("d", "https://x.org/d", also_serves=("e",), task="inpaint"),
            lite_row(),
        )
        store = store_of(*rows)
        for checkpoint in rows[:2]:
            put(store, checkpoint)
        store.locate(rows[0])
        lines = table(store)
        assert [line.state for line in lines] == [
            "verified",
            "present",
            "missing",
            "missing",
            "embedded",
        ]
        assert [line.sum for line in lines] == [
            "known",
            "trust on first use",
            "known",
            "known",
            "known",
        ]
        assert [line.size for line in lines[:2]] == ["0.0 MB", "about 452 MB"]
        assert [line.commercial_use for line in lines[:2]] == ["yes", "no"]
        assert lines[3].variant == "d, e"
        assert table(store, ["inpaint"]) == [lines[3]]

    def test_columns_line_up(self, store_of):
        lines = render_table(
            table(store_of(row("a", "https://x.org/a"), row("longer-name", "https://x.org/b")))
        ).splitlines()
        assert lines[0].split()[:3] == ["TASK", "VARIANT", "FILE"]
        assert (
            len(
                {
                    line.index(word)
                    for line, word in zip(lines, ("FILE", "a.pth", "longer-name.pth"), strict=True)
                }
            )
            == 1
        )


class TestBaking:
    def commands(
        self, *rows: Checkpoint, folder: Path, tasks: tuple[str, ...] = ("upscale",)
    ) -> list[str]:
        return bake_commands(Catalog(rows, folder), tasks, str(folder))

    def test_shipped_rows(self):
        commands = bake_commands(Catalog.load(), ["restore", "old_photo_restore"])
        assert len(commands) == 2
        assert all("\n" not in command for command in commands)
        assert (
            "'https://drive.usercontent.google.com/download?id=14Fht1QQJ2gMlk4N1ERCRuElg8JfjrWWR&export=download&confirm=t'"
            in commands[0]
        )
        assert "/opt/weights/restore/NAFNet-SIDD-width64.pth" in commands[0]

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
    @pytest.mark.parametrize("first", [{}, {"body": OTHER}])
    def test_the_shell_takes_the_first_mirror_that_is_right(self, server, tmp_path, first):
        (command,) = self.commands(
            row("a", server.add("a", first.get("body", BODY)), server.add("b", BODY)),
            folder=tmp_path,
        )
        assert _shell(command) == 0
        assert (tmp_path / "upscale" / "a.pth").read_bytes() == BODY
        assert len(server.log) == (2 if first else 1)

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
    @pytest.mark.parametrize("facts", [{}, {"sha256": None}, {"bytes": None}])
    def test_the_shell_fails_on_wrong_bytes(self, server, tmp_path, facts):
        (command,) = self.commands(row("a", server.add("a", OTHER[:-1]), **facts), folder=tmp_path)
        assert _shell(command) != 0


def _shell(command: str) -> int:
    return os.waitstatus_to_exitcode(os.system(f"({command}) >/dev/null 2>&1"))
