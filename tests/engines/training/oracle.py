"""The same training written the plain way: PEFT and bare torch, nothing of the engine's loop.

Whole batches in one piece, attention masks, logits of every position, labels with an ignored index,
an unfused AdamW. Slow and obvious, so that the engine has something to be held against.
"""

from __future__ import annotations

import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import AutoModelForCausalLM

IGNORED = -100


def padded(examples, pad=0):
    """input_ids, attention_mask and labels of all examples in one batch, padded on the right."""
    length = max(len(example.input_ids) for example in examples)
    ids = torch.full((len(examples), length), pad)
    mask = torch.zeros((len(examples), length), dtype=torch.long)
    labels = torch.full((len(examples), length), IGNORED)
    for row, example in enumerate(examples):
        count = len(example.input_ids)
        ids[row, :count] = torch.tensor(example.input_ids)
        mask[row, :count] = 1
        labels[row, example.prompt_length : count] = ids[row, example.prompt_length : count]
    return ids, mask, labels


def mean_loss(model, examples):
    """Mean cross-entropy over the labelled tokens, from the logits of every position."""
    ids, mask, labels = padded(examples)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


def train(model_path, settings, batches, evaluation, measured, initial):
    """(evaluation losses at `measured`, per-step training losses); `initial`: A by parameter name."""
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, config)
    model.load_state_dict(initial, strict=False)
    weights = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(
        weights,
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_eps,
        weight_decay=settings.weight_decay,
        foreach=False,
        fused=False,
    )
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / settings.max_steps)
    evaluated, trained = [_held_out(model, evaluation)], []
    for step, batch in enumerate(batches, start=1):
        model.train()
        loss = mean_loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, settings.max_grad_norm)
        optimizer.step()
        decay.step()
        trained.append(loss.item())
        if step in measured:
            evaluated.append(_held_out(model, evaluation))
    return evaluated, trained


@torch.no_grad()
def _held_out(model, evaluation):
    model.eval()
    return mean_loss(model, evaluation).item()
