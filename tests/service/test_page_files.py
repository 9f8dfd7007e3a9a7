"""Tests of the page's files: how they are served, and what they contain."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from places import PROJECT
from starlette.applications import Starlette

from restore.errors import Code
from restore.service.page_files import FOLDER, PageFiles

SCRIPTS = sorted((FOLDER / "scripts").glob("*.js"))
OWN_FILES = [
    path
    for path in sorted(FOLDER.rglob("*.*"))
    if path.suffix in {".js", ".css", ".html"} and "vendor" not in path.parts
]
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(not NODE, reason="node runs the page's scripts; not installed")
PURE = PROJECT / "tests" / "service" / "pagescripts"


@pytest.fixture(scope="module")
def files() -> PageFiles:
    return PageFiles()


class Client:
    """Sends requests to the application of the page, without a network."""

    def __init__(self, files: PageFiles) -> None:
        self._app = Starlette(routes=files.routes())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._get(path, headers))

    async def _get(self, path: str, headers: Mapping[str, str] | None) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, headers=headers)


@pytest.fixture(scope="module")
def client(files: PageFiles) -> Client:
    return Client(files)


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert NODE
    return subprocess.run([NODE, *arguments], capture_output=True, text=True, check=False)


class TestServing:
    def test_page_is_revalidated_and_its_files_are_not(
        self, client: Client, files: PageFiles
    ) -> None:
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        again = client.get("/", headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        script = client.get(f"/page/{files.version}/scripts/main.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert script.headers["cache-control"] == "public, max-age=31536000, immutable"

    def test_all_files_that_the_page_names_are_served(
        self, client: Client, files: PageFiles
    ) -> None:
        named = re.findall(r'(?:href|src)="(/page/[^"]+)"', client.get("/").text)
        assert len(named) > 5
        assert {client.get(path).status_code for path in named} == {200}
        assert all(files.version in path for path in named)

    @pytest.mark.parametrize("path", ["scripts/none.js", "%2e%2e/page_files.py", "index.html", ""])
    def test_other_paths_are_404(self, client: Client, files: PageFiles, path: str) -> None:
        response = client.get(f"/page/{files.version}/{path}")
        assert response.status_code == 404
        assert response.headers["cache-control"] == "no-store"

    def test_files_of_another_version_are_404(self, client: Client) -> None:
        response = client.get("/page/0123456789abcdef/scripts/main.js")
        assert response.status_code == 404
        assert response.text.endswith("Load the page again.")

    def test_every_response_has_the_security_headers(
        self, client: Client, files: PageFiles
    ) -> None:
        for path in ("/", f"/page/{files.version}/scripts/main.js", "/page/0/none"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"].split("; ")
            assert policy[:3] == ["default-src 'none'", "script-src 'self'", "style-src 'self'"]
            assert "frame-ancestors 'none'" in policy
            assert not re.search(r"unsafe|https?:|\*", headers["content-security-policy"])
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"

    def test_version_changes_with_any_file(self, files: PageFiles, tmp_path: Path) -> None:
        folder = tmp_path / "page"
        shutil.copytree(FOLDER, folder)
        assert PageFiles(folder).version == files.version
        (folder / "styles" / "card.css").write_text("p { color: red; }")
        changed = PageFiles(folder)
        assert changed.version != files.version
        assert changed.version.encode() in changed.index


class _Attributes(HTMLParser):
    """Collects what the content security policy forbids, and ids."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.inline.append(tag)
        self.inline += [name for name in names if name.startswith("on") or name == "style"]
        if identifier := names.get("id"):
            self.ids.append(identifier)


class TestContents:
    def test_page_has_no_inline_scripts_or_styles(self, files: PageFiles) -> None:
        parser = _Attributes()
        parser.feed(files.index.decode())
        assert parser.inline == []
        assert len(parser.ids) == len(set(parser.ids))

    def test_ids_that_scripts_use_exist(self, files: PageFiles) -> None:
        parser = _Attributes()
        parser.feed(files.index.decode())
        used = {name for path in SCRIPTS for name in re.findall(r'byId\("(.*?)"', path.read_text())}
        assert len(used) > 30
        assert used <= set(parser.ids)

    @pytest.mark.parametrize("path", OWN_FILES, ids=lambda path: path.name)
    def test_files_name_no_other_host(self, path: Path) -> None:
        addresses = re.findall(r"(?:https?:)?//[\w-]+\.\w+[^\s\"')]*", path.read_text())
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}

    @pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
    def test_scripts_are_short_documented_modules(self, path: Path) -> None:
        lines = path.read_text().splitlines()
        assert len(lines) <= 300
        assert lines[0].startswith("/**")
        assert max(map(len, lines)) <= 100

    def test_script_knows_the_errors_about_the_photo_itself(self) -> None:
        text = (FOLDER / "scripts" / "errors.js").read_text()
        listed = re.search(r"PHOTO_CODES = \[(.*?)\]", text, re.DOTALL)
        assert listed
        about_request = {Code.PHOTO_COUNT, Code.PHOTO_MISSING, Code.PHOTO_TOO_MANY_PIXELS}
        about_photo = {code for code in Code if code.name.startswith("PHOTO_")} - about_request
        assert re.findall(r'"(.*?)"', listed[1]) == sorted(about_photo)

    def test_every_script_is_used(self) -> None:
        imported = {
            name for path in SCRIPTS for name in re.findall(r'"\./(\w+\.js)"', path.read_text())
        }
        assert imported | {"main.js"} == {path.name for path in SCRIPTS}

    def test_vendored_libraries_have_their_licence_and_are_listed(self) -> None:
        third_party = (PROJECT / "THIRD_PARTY.md").read_text()
        folders = list((FOLDER / "vendor").iterdir())
        assert folders
        for folder in folders:
            assert "MIT License" in (folder / "LICENSE").read_text()
            assert f"| `{folder.name}` " in third_party


@needs_node
class TestScripts:
    def test_scripts_have_no_syntax_errors(self, tmp_path: Path) -> None:
        check = ("--experimental-vm-modules", "--no-warnings", str(PURE / "check.mjs"))
        done = node(*check, *map(str, SCRIPTS))
        assert (done.returncode, done.stdout) == (0, "")
        broken = tmp_path / "broken.js"
        broken.write_text("export const a = ;")
        assert "broken.js: Unexpected token" in node(*check, str(broken)).stdout

    def test_pure_functions(self) -> None:
        done = node("--test", str(PURE / "pure.test.mjs"))
        assert done.returncode == 0, done.stdout
        assert re.search(r"^# pass \d\d$", done.stdout, re.MULTILINE)
