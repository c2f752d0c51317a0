"""Files of the kinds that people have, most of them nasty, and how a command line with each of them ends."""

from __future__ import annotations

from tests.e2e.files_people_have import (
    alpaca,
    containers,
    letters,
    messages,
    paths,
    preference,
    roles,
    sharegpt,
)
from tests.e2e.files_people_have.case import CHAT, PLAIN, STRICT, TEMPLATES, VERDICT, Case

GROUPS = (alpaca, sharegpt, messages, letters, preference, roles, paths, containers)
CASES: tuple[Case, ...] = tuple(case for group in GROUPS for case in group.CASES)

__all__ = ["CASES", "CHAT", "PLAIN", "STRICT", "TEMPLATES", "VERDICT", "Case"]
