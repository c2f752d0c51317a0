"""The first screen of an audit: what runs that somebody made elsewhere support, in the same rows. Pure."""

from __future__ import annotations

from bios_sweep.audit.auditing import Audit
from bios_sweep.audit.flaw import SERIOUS
from bios_sweep.report.content.first import FirstScreen, Settling, sure_lines
from bios_sweep.report.content.setting_rows import setting_rows
from bios_sweep.report.content.wording import ENDINGS, clean, listed, plural

FLAWS = 2  # serious weaknesses that are told; the full text has all (chosen, not measured)


def first_of_audit(answer: Audit) -> FirstScreen:
    """Of runs that somebody made elsewhere."""
    ended = " + ".join(f"{answer.counts[status]:,} {status}" for status in ENDINGS)
    flaws = [flaw.sentence for flaw in answer.flaws if flaw.severity == SERIOUS]
    weak = [f"weakened by: {clean(sentence)}" for sentence in flaws[:FLAWS]]
    default = answer.parts[0].arms.baseline.name
    arms = plural(len(answer.compared), "arm")
    seeds = "without seeds" if _seedless(answer) else f"at {plural(len(answer.seeds), 'seed')}"
    return FirstScreen(
        question="What do these runs support?",
        about=(
            f"{answer.source}: {arms} compared {seeds}; the default: {default}",
            f"judged on {answer.table.metric.words}",
            *column_lines(answer),
        ),
        rows=setting_rows(answer.verdicts),
        sure=(*sure_lines(answer.verdicts), *weak),
        settling=(Settling(lines=(clean(answer.settle),)),),
        cost="nothing was trained for this answer",
        counts=f"{plural(answer.table.rows, 'run')} = {ended}",
        cautions=len(answer.flaws) - len(weak) + len(answer.table.notes),
    )


def _seedless(answer: Audit) -> bool:
    """Whether the table names no seeds; our own tables always do."""
    found, table = answer.table.columns, answer.table
    return not table.ours and bool(found.value) and not found.seed


def column_lines(answer: Audit) -> tuple[str, ...]:
    """What every column was taken for, and the flags that change it; our own tables say it themselves."""
    found, table = answer.table.columns, answer.table
    if table.ours or not found.value:
        return ()
    settings = [
        name if name == column else f"{column} (as {name})" if column not in found.behaved else column
        for name, column in found.settings.items()
        if len(set(table.settings.get(name, ()))) > 1
    ]
    behaved = [column for column in found.behaved if column in found.settings.values()]
    named = (*settings, *(name for name in table.settings if name not in found.settings))
    told = {
        "settings": tuple(name for name in named if name not in behaved),
        "settings by how they behave": behaved,
        "contexts": found.contexts,
        "outcomes": [column for column in found.outcomes if column != found.value],
    }
    parts = [f"{kind} {listed(names)}" for kind, names in told.items() if names]
    seed = "no seeds" if _seedless(answer) else f"seeds {found.seed}"
    return (
        clean(f"columns: metric {found.value}; {seed}; {'; '.join(parts) or 'no settings'}"),
        "taken otherwise with --setting COL, --outcome COL, --context COL",
    )
