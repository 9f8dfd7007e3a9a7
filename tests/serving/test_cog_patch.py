"""Tests of restore.serving.cog_patch."""

import pytest
from cog.types import Path as CogPath
from cog.types import URLPath

from restore.serving.cog_patch import UnreadSource, leave_sources_unread


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    # So that monkeypatch restores Cog's own methods after the test.
    monkeypatch.setattr(CogPath, "validate", CogPath.__dict__["validate"])
    monkeypatch.setattr(URLPath, "convert", URLPath.__dict__["convert"])
    leave_sources_unread()


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("source", ["data:,x", "HTTP://127.0.0.1/a.jpg", "https://a.example/b"])
def test_url_and_data_uri_stay_unread(source: str) -> None:
    value = CogPath.validate(source)
    assert isinstance(value, URLPath)
    unread = value.convert()
    assert isinstance(unread, UnreadSource)
    assert unread.source == source
    unread.unlink()


@pytest.mark.usefixtures("patched")
def test_other_values_become_paths() -> None:
    assert CogPath.validate("a.jpg") == CogPath("a.jpg")
    assert not isinstance(CogPath.validate("a.jpg"), URLPath)
    path = CogPath("a.jpg")
    assert CogPath.validate(path) is path
