"""`explain TERM`: a word of a report or a command, in plain words."""

from __future__ import annotations

from argparse import Namespace

from rich.console import Console

from bios_sweep.cli.answer import print_answer
from bios_sweep.reference.terms import Glossary, Term, explained


def run(args: Namespace) -> int:
    """One term whole, or a line of each."""
    found = Glossary(terms=explained(args.words))

    def show(answer: Glossary, console: Console) -> None:
        show_one = len(answer.terms) == 1
        for term in answer.terms:
            lines = whole(term) if show_one else (f"{term.term}: {term.means}",)
            for line in lines:
                console.print(line, markup=False, highlight=False)

    print_answer(args, found, show)
    return 0


def whole(term: Term) -> tuple[str, ...]:
    """The term's lines."""
    others = f" (also: {', '.join(term.names)})" if term.names else ""
    like = f"near it: {', '.join(term.like)}" if term.like else ""
    read = f"more: {term.read}" if term.read else ""
    return (f"{term.term}{others}", *(f"  {text}" for text in (term.means, term.so, read, like) if text))
