"""Settings in the words of other trainers: one table of keys per tool, and one function over the tables."""

from __future__ import annotations

from bios_sweep.defaults.exporters.export import TOOLS, Exported, export, export_file
from bios_sweep.defaults.exporters.tool import Fixed, Tool

__all__ = ["TOOLS", "Exported", "Fixed", "Tool", "export", "export_file"]
