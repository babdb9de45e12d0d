"""The package itself: its version."""

from __future__ import annotations

import re

import tricks_lib


def test_the_version_is_one_that_pip_can_order() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", tricks_lib.__version__)
