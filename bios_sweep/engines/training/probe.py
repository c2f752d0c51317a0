"""Look at an architecture without its weights; run as a process of its own, `python -m ... FOLDER`.

Prints the fields of `architectures.Reached` as JSON. An exception's last line is why it cannot be trained.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from bios_sweep.engines.training.architectures import Reached
from bios_sweep.engines.training.device import stay_offline_and_quiet
from bios_sweep.engines.training.facts import read_config
from bios_sweep.engines.training.model import class_of, decoder_of
from bios_sweep.engines.training.reach import reach_of


def probe(folder: Path) -> Reached:
    """What an adapter would be put on; it is put there, on the meta device, to hear what PEFT says to it."""
    stay_offline_and_quiet()
    kind = read_config(folder).get("model_type")
    if kind not in CONFIG_MAPPING:
        return Reached(refused=f"transformers {transformers.__version__} has no architecture of that name")
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = class_of(folder).from_config(config)
    if model.get_output_embeddings() is None:
        return Reached(refused=f"{type(model).__name__} has no output embeddings to train against")
    reach = reach_of(model, decoder_of(model))
    if not (reach.linear or reach.experts):
        return Reached(refused=f"{type(model).__name__} has no linear layer that an adapter can be put on")
    get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=1, **reach.targets))
    return Reached(
        linear=reach.linear,
        experts=reach.experts,
        routers=reach.routers,
        left=reach.left,
        outside=reach.outside,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(probe(Path(sys.argv[1])))) + "\n")
