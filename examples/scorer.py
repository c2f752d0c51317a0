"""A script that is judged on a score: how often the model finds the right one of two answers more likely.

It knows nothing of bios-sweep and prints its accuracy as a text. `bios-sweep run --config-dir examples
sweeps=scorer` sweeps it.
"""

import argparse
import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

MODEL = "bios_sweep/assets/base_model"

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--bs", type=int, default=8)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

set_seed(args.seed)  # before the adapter is made: its initialisation belongs to the seed
tokenizer = AutoTokenizer.from_pretrained(MODEL)
model = AutoModelForCausalLM.from_pretrained(MODEL)
model = get_peft_model(model, LoraConfig(r=8, lora_alpha=32, target_modules="all-linear"))


def pairs(name):
    """Prompts, each with a right and a wrong answer."""
    return [json.loads(line) for line in Path(f"examples/data/{name}.jsonl").read_text().splitlines()]


def loss(prompt, answer):
    """Nats of the answer's tokens."""
    before = tokenizer(prompt)["input_ids"]
    behind = tokenizer(answer, add_special_tokens=False)["input_ids"]
    logits = model(torch.tensor([before + behind])).logits[0, len(before) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(behind), reduction="sum")


@torch.no_grad()
def accuracy(examples):
    """Share of prompts whose right answer is the more likely one."""
    right = [loss(one["prompt"], one["chosen"]) < loss(one["prompt"], one["rejected"]) for one in examples]
    return sum(map(bool, right)) / len(right)


train, test = pairs("pairs_train"), pairs("pairs_eval")
order = torch.utils.data.DataLoader(train, batch_size=args.bs, shuffle=True, collate_fn=list)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=args.lr)
print(f"step 0: accuracy {accuracy(test):.4f} on {len(test)} pairs")
step = 0
while step < args.steps:
    for batch in order:
        optimizer.zero_grad()
        sum(loss(one["prompt"], one["chosen"]) for one in batch).div(len(batch)).backward()
        optimizer.step()
        step += 1
        if step == args.steps:
            break
print(f"step {step}: accuracy {accuracy(test):.4f} on {len(test)} pairs")
