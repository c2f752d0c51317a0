"""Why a tracker cannot be used, or does not follow: what is wrong, where, and the way out. Values, pure."""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One state of one store, in words that are told alike before a run, at its end, and by every verb.

    where: the address without secrets. what: what is wrong there, as it goes on after the address. mend: what
    somebody can do. until: what ends it without a hand (`it answers`); empty where nothing does, so that
    trying again is of no use until somebody has been at it.
    """

    where: str
    what: str
    mend: str
    until: str = ""

    @property
    def passes(self) -> bool:
        """Whether it may end by itself."""
        return bool(self.until)

    @property
    def sentence(self) -> str:
        """What is wrong, where, and the way out."""
        return f"{self.where} {self.what}; {self.mend}"

    def later(self, command: str) -> str:
        """The same of a sweep that ran all the same. command: what brings its results over."""
        if self.passes:
            return f"{self.where} {self.what}; nothing is lost, run `{command}` when {self.until}"
        return f"{self.where} {self.what}; nothing is lost: {self.mend}, then run `{command}`"


class TroubleError(InputError):
    """A tracker cannot be used; built from its trouble alone, so that it pickles."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble

    def __str__(self) -> str:
        return f"tracking.uri: {self.trouble.sentence}"
