"""JSON with comments and trailing commas, as editors and some configurations have it (.jsonc). Pure."""

from __future__ import annotations

import re

TEXT = r'"(?:\\.|[^"\\\n])*"'
COMMENTS = re.compile(rf"({TEXT})|//[^\n]*|/\*.*?\*/", re.DOTALL)
TRAILING = re.compile(rf"({TEXT})|,(?=\s*[}}\]])")


def without_comments(text: str) -> str:
    """The same as plain JSON; what stands inside texts is left alone."""
    bare = COMMENTS.sub(lambda match: match[1] or " ", text)
    return TRAILING.sub(lambda match: match[1] or "", bare)
