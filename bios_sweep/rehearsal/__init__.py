"""What a study would say, before it is paid for: the real procedure on planted outcomes, in memory. Pure."""

from bios_sweep.rehearsal.chances import EFFECTS, SEED, Chances, Share, rehearse, sweeps_simulated
from bios_sweep.rehearsal.designs import Design, Search, affordable, choose_design, cost_of, sweeps_of_search
from bios_sweep.rehearsal.noise import GUESS_PERCENT, Noise, guessed_noise, noise_from, stated_noise
from bios_sweep.rehearsal.summary import RehearsalSummary, design_row, summarise_rehearsal

__all__ = [
    "EFFECTS",
    "GUESS_PERCENT",
    "SEED",
    "Chances",
    "Design",
    "Noise",
    "RehearsalSummary",
    "Search",
    "Share",
    "affordable",
    "choose_design",
    "cost_of",
    "design_row",
    "guessed_noise",
    "noise_from",
    "rehearse",
    "stated_noise",
    "summarise_rehearsal",
    "sweeps_of_search",
    "sweeps_simulated",
]
