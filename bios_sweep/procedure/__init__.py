"""What to run next, given the results so far; and what was decided. Pure."""

from bios_sweep.procedure.broken import broken_by
from bios_sweep.procedure.diagnosis import diagnosis_of
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.pairing import pairing_lines
from bios_sweep.procedure.questions import (
    SEARCH,
    WINNER,
    factor_names,
    factor_of,
    is_first,
    levels_of,
    questions,
    title_of,
)
from bios_sweep.procedure.refinement import known_proposals, objectives_of, serves_search, space_of
from bios_sweep.procedure.served import NOT_SERVED, UNFINISHED, no_file, own_cell, serves, stands_for
from bios_sweep.procedure.source import ProcedureSource, recall
from bios_sweep.procedure.spending import ArmSpent, Budgets, spent_words
from bios_sweep.procedure.state import Known, Results, Search, State, no_clusters
from bios_sweep.procedure.suggestion import Suggestion, suggest
from bios_sweep.procedure.tables import costs_of, table_of
from bios_sweep.procedure.untested import UNTESTED, untested_reasons

__all__ = [
    "NOT_SERVED",
    "SEARCH",
    "UNFINISHED",
    "UNTESTED",
    "WINNER",
    "ArmSpent",
    "Budgets",
    "Known",
    "ProcedureSource",
    "Results",
    "Search",
    "State",
    "Suggestion",
    "broken_by",
    "costs_of",
    "diagnosis_of",
    "factor_names",
    "factor_of",
    "is_first",
    "known_proposals",
    "levels_of",
    "no_clusters",
    "no_file",
    "objectives_of",
    "own_cell",
    "pairing_lines",
    "questions",
    "recall",
    "serves",
    "serves_search",
    "space_of",
    "spent_words",
    "stands_for",
    "state_of",
    "suggest",
    "table_of",
    "title_of",
    "untested_reasons",
]
