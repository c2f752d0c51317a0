"""Scripts of the kinds that people have, with their real libraries: what each is told arrives and is read."""

from __future__ import annotations

import json
import sys

import pytest

from bios_sweep.cli.main import main
from bios_sweep.engines.scripted.engine import CommandEngine
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Status
from tests.engines.scripted.trials import TRIAL

PARSED = """
import sys
from dataclasses import dataclass
from transformers import HfArgumentParser

@dataclass
class Arguments:
    learning_rate: float = 1.0
    seed: int = 0
    output_dir: str = ""
    bf16: bool = True

parser = HfArgumentParser(Arguments)
kind = sys.argv[1].rpartition(".")[2]
if kind == "json":
    (found,) = parser.parse_json_file(sys.argv[1])
elif kind == "yaml":
    (found,) = parser.parse_yaml_file(sys.argv[1])
else:
    (found,) = parser.parse_args_into_dataclasses()
assert isinstance(found.learning_rate, float) and found.bf16 is False and found.output_dir, found
print({"eval_loss": f"{found.learning_rate * 1e5 + found.seed:.4g}", "epoch": "1.0"})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "words, name, template",
    [
        (
            "--learning_rate {learning_rate} --seed {seed} --output_dir {trial_dir} --bf16 false",
            None,
            "",
        ),
        (
            "{settings_file}",
            "c.yaml",
            'learning_rate: {learning_rate}\nseed: {seed}\nbf16: no\noutput_dir: "{trial_dir}"\n',
        ),
        (
            "{settings_file}",
            "c.json",
            '{"learning_rate": {learning_rate}, "seed": {seed}, "bf16": false, "output_dir": "{trial_dir}"}',
        ),
    ],
)
def test_an_argument_parser_of_transformers_takes_flags_and_files(tmp_path, words, name, template):
    (tmp_path / "train.py").write_text(PARSED)
    options = {"run": f"{sys.executable} train.py {words}", "cwd": str(tmp_path), "metric": "eval_loss"}
    if name:
        (tmp_path / name).write_text(template)
        options |= {"template": name, "settings_file": f"{{trial_dir}}/{name}"}
    result = list(CommandEngine(options).run(TRIAL, tmp_path / "t"))[-1]
    assert (result.status, result.final["eval_loss"]) == (Status.COMPLETED, 4.0), result.cause


HYDRA = """
import logging, math, random, hydra
@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    noise = random.Random(cfg.seed).gauss(0, 0.004)
    for step in (0, 50, 100):
        gain = math.exp(-math.log10(cfg.model.optimizer.lr / 2e-4) ** 2)
        logging.getLogger("train").info("step %d: val_loss %.5f", step, 3 - step / 100 * gain + noise)
main()
"""


@pytest.mark.slow
def test_a_hydra_script_is_swept_to_its_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/config.yaml").write_text("seed: 0\nmodel:\n  optimizer:\n    lr: 0.001\n")
    (tmp_path / "train.py").write_text(HYDRA)
    command = (
        f"{sys.executable} train.py model.optimizer.lr={{learning_rate}} seed={{seed}} "
        "hydra.run.dir={trial_dir}"
    )
    words = (
        "sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.1]", "seeds=[0,1,2]",
        "cluster=inline", "tracking=none", "method=command", "baseline.learning_rate=2e-4",
        "workspace=runs", "method.metric=val_loss", f"method.command={command}",
    )  # fmt: skip
    assert main(["run", *words, "--json"]) == 0, capsys.readouterr().err
    [verdict] = json.loads(capsys.readouterr().out)["verdicts"]
    assert verdict["verdict"] == "confirm"
    assert not (tmp_path / "outputs").exists()


TWO = """
from accelerate import Accelerator
accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
accelerator.wait_for_everyone()
accelerator.print({"eval_loss": 1.5, "step": 10})
accelerator.wait_for_everyone()
accelerator.end_training()
"""


@pytest.mark.slow
def test_trials_under_accelerate_do_not_meet(tmp_path):
    (tmp_path / "train.py").write_text(TWO)
    run = (
        f"{sys.executable} -m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 "
        "--mixed_precision no --dynamo_backend no --main_process_port {free_port} train.py"
    )
    engines = [
        CommandEngine({"run": run, "cwd": str(tmp_path), "metric": "eval_loss"}).run(
            TrialSpec(**{**vars(TRIAL), "key": key}), tmp_path / key
        )
        for key in ("a", "b")
    ]
    first, second = engines
    assert next(first).eval_loss == 1.5  # its processes hold their port while the second's start
    for rest in (second, first):
        result = list(rest)[-1]
        assert (result.status, result.final["eval_loss"]) == (Status.COMPLETED, 1.5), result.cause


DISTRIBUTED = """
import math, random, sys, torch, torch.distributed as dist
dist.init_process_group("gloo")
lr, seed = float(sys.argv[1]), int(sys.argv[2])
noise = random.Random(seed).gauss(0, 0.004)
for step in (0, 10, 20):
    gain = step / 20 * math.exp(-math.log10(lr / 2e-4) ** 2)
    mine = torch.tensor(3.0 - gain + noise + dist.get_rank())
    dist.all_reduce(mine)
    print({"rank": dist.get_rank(), "step": step, "eval_loss": mine.item() / 2 + 10 * dist.get_rank()})
dist.destroy_process_group()
"""
ACCELERATED = DISTRIBUTED.replace(
    'dist.init_process_group("gloo")',
    "from accelerate import Accelerator\naccelerator = Accelerator(cpu=True)",
).replace("    print(", "    accelerator.print(")
LIGHTNING = """
import math, random, sys, torch, lightning
from lightning.pytorch.loggers import CSVLogger
lr, seed, out = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
lightning.seed_everything(seed, verbose=False)
noise = random.Random(seed).gauss(0, 0.002)
class Line(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4))
    def loss(self):
        return ((self.weight - 1) ** 2).sum() + 0.1 * math.log10(lr / 2e-4) ** 2 + 1 + noise
    def training_step(self, batch, at):
        return self.loss()
    def validation_step(self, batch, at):
        self.log("val_loss", self.loss())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.4)
rows = torch.utils.data.DataLoader(torch.zeros(8, 1))
trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", logger=CSVLogger(out), enable_progress_bar=False,
    enable_model_summary=False, enable_checkpointing=False, num_sanity_val_steps=0)
trainer.fit(Line(), rows, rows)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "library, script, launcher, metric, end",
    [
        (
            "accelerate",
            ACCELERATED,
            "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 "
            "--mixed_precision no --dynamo_backend no --main_process_port {free_port} train.py",
            "eval_loss",
            "",
        ),
        (
            "torch",
            DISTRIBUTED,
            "-m torch.distributed.run --nproc-per-node 2 --tee 3 --master-port {free_port} train.py",
            "eval_loss",
            "",
        ),
        ("lightning", LIGHTNING, "train.py", "val_loss", " {trial_dir}"),
    ],
    ids=["accelerate", "torchrun", "lightning"],
)
def test_a_launcher_with_its_processes_is_swept_to_its_verdict(
    tmp_path, monkeypatch, capsys, library, script, launcher, metric, end
):
    pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(script)
    words = (
        "sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.1]", "seeds=[0,1]",
        "decision.looks=[2]", "decision.confirmation_seeds=0", "cluster=inline", "tracking=none",
        "method=command", "baseline.learning_rate=2e-4", "workspace=runs", f"method.metric={metric}",
        f"method.command={sys.executable} {launcher} {{learning_rate}} {{seed}}{end}",
    )  # fmt: skip
    assert main(["run", *words, "--json"]) == 0, capsys.readouterr().err
    answer = json.loads(capsys.readouterr().out)
    assert [verdict["verdict"] for verdict in answer["verdicts"]] == ["confirm"]
    assert answer["counts"]["completed"] == answer["counts"]["planned"]
