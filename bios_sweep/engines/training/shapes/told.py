"""What reading a file found, in words."""

from __future__ import annotations

from bios_sweep.engines.training.shapes.reading import Found
from bios_sweep.engines.training.shapes.registry import BY_NAME

MOST_COLUMNS = 8  # named; chosen, not measured


def lines_of(found: Found, name: str) -> tuple[str, ...]:
    """Shape and what is learned, records that were skipped, columns that nothing reads. name: of the file."""
    shape = BY_NAME.get(found.shape or "")
    told = []
    if shape is not None:
        how = "recognised" if found.recognised else "as data.shape says"
        told.append(f"{name} is read as {shape.name} ({how}): {shape.help}; learned: {shape.learned}")
    if found.skipped:
        listed = "; ".join(found.bad)
        more = "; ..." if found.skipped > len(found.bad) else ""
        told.append(f"{found.skipped:,} of {found.records:,} records of {name} are skipped: {listed}{more}")
    columns = sorted(found.passed_over)
    if columns:
        more = ", ..." if len(columns) > MOST_COLUMNS else ""
        told.append(f"columns of {name} that nothing reads: {', '.join(columns[:MOST_COLUMNS])}{more}")
    return tuple(told)
