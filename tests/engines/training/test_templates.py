# ruff: noqa: E501  # templates as their files have them
"""What our rendering writes beside transformers' own, for the forms of template that models in use have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bios_sweep.containers.record import Record
from bios_sweep.engines.training.chat import ChatTemplate, Reading
from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.shapes.reading import Reader
from bios_sweep.errors import DataError

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CALLS = (
    "{% for c in m.tool_calls %}<tool_call>{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}"
    "</tool_call>{% endfor %}"
)
TEMPLATES = {
    "chatml": "{% for m in messages %}<|im_start|>{{ m.role + '\n' + m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "llama2": "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content + ' [/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + ' ' + eos_token }}{% else %}"
    "{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}",
    "llama3": "{{ bos_token }}{% if tools %}Functions: {{ tools | tojson(indent=1) }}<|eot_id|>{% endif %}"
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{% if m.tool_calls %}"
    '{% for c in m.tool_calls %}{"name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}'
    "{% endfor %}{% elif m.role == 'tool' %}{{ m.content | tojson }}{% else %}{{ m.content | trim }}{% endif %}"
    "<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    "gemma": "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
    "mistral": "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
    "{% elif m.tool_calls is defined and m.tool_calls is not none %}[TOOL_CALLS]"
    "{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}{{ eos_token }}{% elif m.role == 'tool' %}"
    "[TOOL_RESULTS]{{ m.content }}[/TOOL_RESULTS]{% else %} {{ m.content | trim }}{{ eos_token }}{% endif %}"
    "{% if loop.first and tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}{% endfor %}",
    "qwen3": "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}<|im_start|>{{ 'user' if m.role == 'tool' else m.role }}\n"
    "{% if m.role == 'assistant' and loop.index0 > ns.last and (loop.last or m.reasoning_content) %}<think>\n"
    "{{ m.reasoning_content | default('') | trim }}\n</think>\n\n{% endif %}"
    "{{ m.content if m.content is string else '' }}" + CALLS + "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "phi": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}",
    "gpt-oss": "<|start|>system<|message|>Today: {{ strftime_now('%Y-%m-%d') }}<|end|>{% for m in messages %}"
    "{% if m.role == 'assistant' %}{% if m.thinking and loop.last %}<|start|>assistant<|channel|>analysis<|message|>"
    "{{ m.thinking }}<|end|>{% endif %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}"
    "{{ '<|return|>' if loop.last else '<|end|>' }}{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}",
    "deepseek": "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% elif m.role == 'user' %}<|User|>{{ m.content }}{% elif m.role == 'tool' %}<|output|>{{ m.content }}<|/output|>"
    "{% else %}<|Assistant|>{% if m.content is none %}{% for c in m.tool_calls %}<|call|>{{ c.function.name + '\n' + "
    "c.function.arguments }}{% endfor %}{% else %}{{ m.content }}{% endif %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|>{% endif %}",
    "olmo": "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
}
CALL = {"type": "function", "function": {"name": "weather", "arguments": '{"town": "Bern \\"old\\""}'}}
TALKS: dict[str, Any] = {
    "plain": {"messages": [("user", "Hi there?"), ("assistant", "Hello you.")]},
    "several": {"messages": [("user", "A?"), ("assistant", "B.\nC."), ("user", "D?"), ("assistant", "E.")]},
    "system": {"messages": [("system", "Be brief."), ("user", "Hi?"), ("assistant", "Hello.")]},
    "tools": {
        "messages": [
            ("user", "Weather?"),
            ("assistant", None),
            ("tool", '{"sky": "clear"}'),
            ("assistant", "Clear."),
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}],
    },
    "reasoning_content": {"messages": [("user", "2+2?"), ("assistant", "Four.")]},
    "thinking": {"messages": [("user", "2+2?"), ("assistant", "Four.")]},
}
# What a template has no words for is refused; everything else is written.
REFUSED = {
    "system": {"llama2", "gemma"},
    "tools": {"chatml", "llama2", "gemma", "phi", "gpt-oss", "deepseek", "olmo"},
    "reasoning_content": set(TEMPLATES) - {"qwen3"},
    "thinking": set(TEMPLATES) - {"gpt-oss"},
}


def talk_of(name: str) -> Example:
    row = json.loads(json.dumps(TALKS[name]))
    row["messages"] = [{"role": role, "content": said} for role, said in row["messages"]]
    if name == "tools":
        row["messages"][1]["tool_calls"] = [CALL]
    if name in ("reasoning_content", "thinking"):
        row["messages"][1][name] = "Add them up."
    [talk] = Reader()([Record("f:1", row)])
    return talk


def theirs(template: str, talk: Example, *, call: bool = False) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    turns = [turn.keys for turn in talk.messages[: -1 if call else None]]
    tools = json.loads(talk.tools) if talk.tools else None
    rendered, _ = render_jinja_template(
        conversations=[turns], tools=tools, chat_template=template, add_generation_prompt=call, **SPECIAL
    )
    return str(rendered[0])


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("kind", TALKS)
def test_a_conversation_is_written_as_transformers_writes_it_or_refused_by_name(name, kind):
    text, talk = TEMPLATES[name].replace("strftime_now('%Y-%m-%d')", "'2024-07-26'"), talk_of(kind)
    ours = ChatTemplate(text, SPECIAL, "M", Reading(every_answer=True))
    if name in REFUSED.get(kind, ()):
        with pytest.raises(DataError, match=r"^(messages|messages\[\d\]|tools): the chat template of M "):
            ours(talk)
        return
    written, last = ours(talk), ours.of_the_last(talk)
    assert written.prompt + written.completion == theirs(text, talk)
    assert last.prompt == theirs(text, talk, call=True)
    learned = "".join(written.completion)
    for begin, end in reversed(written.asides):
        learned = learned[:begin] + learned[end:]
    for turn in talk.messages:
        assert turn.role == "assistant" or turn.content not in learned
        assert turn.role != "assistant" or turn.content in learned
    if kind == "tools":
        assert "weather" in learned
        assert "None" not in written.completion


def test_a_template_that_joins_arguments_on_is_given_them_as_text():
    text = TEMPLATES["deepseek"].replace(
        "{{ bos_token }}", "{{ bos_token }}{% if tools %}{{ tools | tojson }}{% endif %}"
    )
    written = ChatTemplate(text, SPECIAL, "M", Reading(every_answer=True))(talk_of("tools"))
    assert '<|call|>weather\n{"town": "Bern \\"old\\""}</s>' in written.completion


def test_a_switched_off_answer_is_read_and_not_learned():
    row = {
        "messages": [
            {"role": "user", "content": "A?"},
            {"role": "assistant", "content": "B.", "weight": 0},
            {"role": "user", "content": "C?"},
            {"role": "assistant", "content": "D."},
            {"role": "user", "content": "E?"},
            {"role": "assistant", "content": "F."},
        ]
    }
    [talk] = Reader()([Record("f:1", row)])
    written = ChatTemplate(TEMPLATES["chatml"], SPECIAL, "M", Reading(every_answer=True))(talk)
    assert "B." in written.prompt
    assert written.completion.startswith("D.<|im_end|>")
    assert written.completion[slice(*written.asides[0])].strip().endswith("assistant")
