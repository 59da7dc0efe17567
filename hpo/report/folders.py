"""Leaves out folders, which may tell a user's name: of files only their names stay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_HOME = r"~[^\s/\\'\"]*[\\/]"
_QUOTED = re.compile(rf"""(?<=['"])(?:[A-Za-z]:[\\/]|/|{_HOME})(?:[^'"\n]*[\\/])?""")
_BARE = re.compile(rf"""(?<![\w/.:\\~])(?:(?:/|{_HOME})(?:[^\s/'"]+/)+|{_HOME}|[A-Za-z]:\\(?:[^\s\\'"]+\\)*)""")


def clean_text(text: str) -> str:
    """A text, an error say, without the folders of the absolute paths in it."""
    return _BARE.sub("", _QUOTED.sub("", text))


def clean_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of which each text that is an absolute path is the file's name alone."""
    return {key: _clean(value) for key, value in settings.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return clean_settings(value)
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute() or value.startswith("~"):
                return kind(value).name
    return value
