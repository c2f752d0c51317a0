"""The shapes there are, and what their records' keys are called."""

from __future__ import annotations

from bios_sweep.engines.training.shapes.alpaca import ALPACA, ALPACA_TEXT
from bios_sweep.engines.training.shapes.conversational import CONVERSATIONAL
from bios_sweep.engines.training.shapes.messages import MESSAGES
from bios_sweep.engines.training.shapes.preference import PREFERENCE, PREFERENCE_CHOSEN, PREFERENCE_PAIRS
from bios_sweep.engines.training.shapes.prompt_completion import PROMPT_COMPLETION
from bios_sweep.engines.training.shapes.shape import Shape
from bios_sweep.engines.training.shapes.sharegpt import SHAREGPT
from bios_sweep.engines.training.shapes.text import TEXT

SHAPES: tuple[Shape, ...] = (
    PROMPT_COMPLETION,
    CONVERSATIONAL,
    MESSAGES,
    SHAREGPT,
    ALPACA,
    ALPACA_TEXT,
    TEXT,
    PREFERENCE,
    PREFERENCE_CHOSEN,
    PREFERENCE_PAIRS,
)
RECOGNISED = tuple(shape for shape in SHAPES if not shape.stated)
BY_NAME = {shape.name: shape for shape in SHAPES}
MIXED = "mixed"  # of `data.shape`: every record by its own keys
NAMES = (*BY_NAME, MIXED)
SHAPES_HELP = (
    '{"prompt", "completion"}, {"messages"}, {"conversations"}, {"instruction", "output"} or {"text"}'
)
CLUSTER = "cluster"
TURN_KEYS = ("role", "content")
# What `data.columns` may give another name to.
COLUMNS = (
    tuple(dict.fromkeys(key for shape in SHAPES for key in (*shape.keys, *shape.more)) | {CLUSTER: None})
    + TURN_KEYS
)
# Names that files have for a question and its answer, in the order in which they are looked for.
QUESTIONS = ("question", "query", "problem", "instruction", "input", "user", "source", "q", "prompt")
ANSWERS = (
    "answer",
    "response",
    "output",
    "solution",
    "completion",
    "target",
    "assistant",
    "reply",
    "a",
    "answers",
)
# The same of a turn: who speaks, and what.
SPEAKERS = ("role", "speaker", "from", "author", "sender", "name")
WORDS = ("content", "text", "value", "message", "utterance", "body")
