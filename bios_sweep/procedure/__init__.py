"""What to run next, given the results so far; and what was decided. Pure."""

from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.questions import Question, factor_names, levels_of, questions
from bios_sweep.procedure.source import ProcedureSource, recall
from bios_sweep.procedure.state import DONE, REFINEMENT, Known, Results, Search, State
from bios_sweep.procedure.tables import table_of

__all__ = [
    "DONE",
    "REFINEMENT",
    "Known",
    "ProcedureSource",
    "Question",
    "Results",
    "Search",
    "State",
    "factor_names",
    "levels_of",
    "questions",
    "recall",
    "state_of",
    "table_of",
]
