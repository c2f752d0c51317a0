"""Scripts as people have them: how they print their metric, how they end, and which file they read."""

from __future__ import annotations

from dataclasses import dataclass

# The loss falls to a best one at a rate of 2e-4. `say` and `end` are the script's own way to tell of it.
TRAINS = """
import json, math, os, random, sys, time
LR, SEED, OUT = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
noise = random.Random(SEED).gauss(0, 0.004)
def loss_at(step):
    return 3 - step / 20 * math.exp(-math.log10(LR / 2e-4) ** 2) + noise
SAY
told = []
for epoch, step in enumerate((0, 10, 20)):
    told.append(loss_at(step))
    say(epoch, step, told[-1], 1 - told[-1] / 4)
end(told)
with open(os.path.join(OUT, "truth.txt"), "w") as file:
    file.write(repr(told[-1]))
"""


@dataclass(frozen=True, kw_only=True)
class Text:
    """A way to print. says: the body of `say(epoch, step, loss, acc)`; ends: of `end(told)`.

    metric: what it is judged on; words: more of the command line. scale: of the metric over the loss, None
    for the accuracy in percent. refused: part of why there is no metric, where none is read.
    """

    says: str
    ends: str = "pass"
    metric: str = "eval_loss"
    words: tuple[str, ...] = ()
    scale: float | None = 1.0
    refused: str = ""

    @property
    def script(self) -> str:
        """The whole script."""
        told = f"def say(epoch, step, loss, acc):\n    {self.says}\ndef end(told):\n    {self.ends}\n"
        return TRAINS.replace("SAY", told)

    def expected(self, truth: float) -> float:
        """The metric of the last step. truth: the loss there."""
        return 100 * (1 - truth / 4) if self.scale is None else self.scale * truth


BAR = 'print(f"\\r{step:3d}%|####  | {step}/20 [00:01<00:01, 9.1it/s, eval_loss={loss:.4f}]", end="")'
LIGHTNING = (
    "print('\\u250f' + '\\u2501' * 30 + '\\u2513\\n\\u2503 Validate metric \\u2503 DataLoader 0 \\u2503')\n"
    "    print(f'\\u2502     val_loss    \\u2502 {told[-1]:.12f} \\u2502')"
)
TEXTS = {
    "exponents": Text(says='print(f"epoch {epoch + 1}: val_loss = {loss:.6e}")', metric="val_loss"),
    "a bar alone": Text(says=BAR, refused="in a progress bar, which is not read: print it on a line of"),
    "a bar by a pattern": Text(says=BAR, words=(r"method.pattern=eval_loss=(?P<value>[\d.]+)",)),
    "a bar, then a line": Text(says=BAR, ends='print(f"\\neval loss: {told[-1]:.4f}")'),
    "a logger in colour": Text(
        says='print(f"\\033[32m2026-11-30 10:00:00,123\\033[0m INFO \\033[1meval_loss\\033[0m: {loss:.4f}",'
        " file=sys.stderr)"
    ),
    "a level before the name": Text(says='print(f"2026-11-30 10:00:00,123 INFO eval_loss: {loss:.4f}")'),
    "a table of rich": Text(says="pass", ends=LIGHTNING, metric="val_loss"),
    "keys inside keys": Text(
        says='print(json.dumps({"epoch": epoch, "metrics": {"eval": {"loss": loss}}}))',
        refused="there are epoch, metrics/eval/loss (method.metric chooses one)",
    ),
    "keys inside keys, named": Text(
        says='print(json.dumps({"epoch": epoch, "metrics": {"eval": {"loss": loss}}}))',
        metric="metrics/eval/loss",
    ),
    "JSON on several lines": Text(says='print(json.dumps({"step": step, "eval": {"loss": loss}}, indent=2))'),
    "percent": Text(
        says='print(f"epoch {epoch}/2 | train loss: 2.0 | val loss: {loss:.4f} | val acc: {100 * acc:.4f}%")',
        metric="val_acc",
        words=("decision.margin_percent=1",),
        scale=None,
    ),
    "several in a line": Text(
        says='print(f"epoch {epoch}/2 | train loss: 2.0 | val loss: {loss:.4f} | val acc: {100 * acc:.1f}%")',
        metric="val_loss",
    ),
    "thousands": Text(
        says='print(f"step {step}: perplexity {loss * 1e4:,.2f}")', metric="perplexity", scale=1e4
    ),
    "thousands with apostrophes": Text(
        says='print(f"perplexity: {loss * 1e4:,.2f}".replace(",", "\'"))',
        metric="perplexity",
        refused="and only commas may part thousands: print the number without",
    ),
    "thousands with spaces": Text(
        says='print(f"perplexity: {loss * 1e4:,.0f}".replace(",", " "))',
        metric="perplexity",
        refused="and only commas may part thousands: print the number without",
    ),
    "decimal comma": Text(
        says='print(f"eval_loss = {loss:.2f}".replace(".", ","))',
        refused="and a decimal comma is not read: print it with a point",
    ),
    "decimal comma by a pattern": Text(
        says='print(f"loss {loss:.2f}".replace(".", ","))',
        words=("method.pattern=loss (?P<value>[\\d,]+)",),
        refused="no number, for a decimal comma is not read: print it with a point",
    ),
    "a best line behind": Text(
        says='print(f"epoch {epoch} val_loss: {loss:.4f}")',
        ends='print(f"Best: val_loss={min(told) - 1:.4f} at epoch 1")',
        metric="val_loss",
    ),
    "a best name behind": Text(
        says='print(f"epoch {epoch} val_loss: {loss:.4f}")',
        ends='print(f"best val_loss: 1.0\\nbest_val_loss: 1.0\\nepoch 3 took 2 s")',
        metric="val_loss",
    ),
    "a change": Text(
        says='print(f"epoch {epoch}: eval_loss: 3.1 -> {loss:.4f}")',
        refused="of two numbers neither is read: print one, or say which with method.pattern='eval_loss: ",
    ),
    "a change by a pattern": Text(
        says='print(f"epoch {epoch}: eval_loss: 3.1 -> {loss:.4f}")',
        words=(r"method.pattern=eval_loss: [-+.,\de]+ -> (?P<value>[-+.,\de]+)",),
    ),
    "a best object behind": Text(
        says='print(f"epoch {epoch} eval_loss: {loss:.4f}")',
        ends="print('Best result:', json.dumps({'eval_loss': 1.0}, indent=2))",
    ),
    "a tensor": Text(says="print('Eval loss:', f\"tensor({loss:.4f}, device='cuda:0')\")"),
    "name in brackets": Text(says='print(f"[10:00:00] [eval] loss: {loss:.4f} (5 batches)")'),
}  # fmt: skip

NANS = 'print(f"epoch {epoch} eval_loss: {loss if step < 20 else math.nan:.4f}")'


@dataclass(frozen=True, kw_only=True)
class End:
    """A way to end. body: what the script does. failure: its kind, empty where it ends well.

    cause: how it is told, or how that begins. seconds: its time limit.
    """

    body: str
    failure: str
    cause: str
    seconds: float | None = None


CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {!r}], check=True)"
ENDS = {
    "killed below a shell": End(
        body="import subprocess, sys\n"
        "sys.exit(subprocess.call(['sh', '-c', 'sh -c \"kill -9 \\\\$\\\\$\"; exit $?']))",
        failure="out of memory",
        cause="the script crashed with exit status 137: ",
    ),
    "killed below Python": End(
        body="import subprocess, sys\nsys.exit(subprocess.call(['sh', '-c', 'kill -9 $$']))",
        failure="out of memory",
        cause="the script crashed with exit status 247: nothing on its standard error",
    ),
    "a traceback below": End(
        body=CHILD.format("raise KeyError('label')"),
        failure="code",
        cause="the script crashed with exit status 1: KeyError: 'label'",
    ),
    "a CUDA error": End(
        body="raise RuntimeError('CUDA error: an illegal memory access was encountered\\nCUDA kernel errors "
        "might be asynchronously reported at some other API call\\nCompile with `TORCH_USE_CUDA_DSA`')",
        failure="code",
        cause="the script crashed with exit status 1: RuntimeError: CUDA error: an illegal memory access was "
        "encountered",
    ),
    "CUDA out of memory": End(
        body="class OutOfMemoryError(RuntimeError): __module__ = 'torch'\n"
        "raise OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB')",
        failure="out of memory",
        cause="the script crashed with exit status 1: torch.OutOfMemoryError: CUDA out of memory. Tried to",
    ),
    "no such module": End(
        body="import torchh",
        failure="code",
        cause="the script crashed with exit status 1: ModuleNotFoundError: No module named 'torchh'",
    ),
    "a name that a module lacks": End(
        body="from json import dumbs",
        failure="code",
        cause="the script crashed with exit status 1: ImportError: cannot import name 'dumbs' from 'json'",
    ),
    "nothing said": End(
        body="raise SystemExit(1)",
        failure="code",
        cause="the script crashed with exit status 1: nothing on its standard error",
    ),
    "hangs": End(
        body="import time; time.sleep(600)",
        failure="time limit",
        cause="the script was still running after 1 s (method.time_limit_seconds) and was ended; no",
        seconds=1.0,
    ),
    "leaves children": End(
        body="import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\n"
        'print(\'{"step": 10, "eval_loss": 2.5}\')',
        failure="",
        cause="",
    ),
}

# Reads its settings from the file that it is given, in the way of its kind.
READS = """
import json, math, random, sys
READ
assert isinstance(lr, float) and isinstance(seed, int), (lr, seed)
noise = random.Random(seed).gauss(0, 0.004)
for step in (0, 50, 100):
    loss = 3 - step / 100 * math.exp(-math.log10(lr / 2e-4) ** 2) + noise
    print(json.dumps({"step": step, "eval_loss": loss}))
"""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A file of settings. name, template: with placeholders; reads: how the script takes lr and seed from it.

    refused: part of the sentence that names the way out, where it cannot be used so.
    """

    name: str
    template: str
    reads: str = ""
    refused: str = ""

    @property
    def script(self) -> str:
        """The whole script."""
        return READS.replace("READ", self.reads)


YAML = "import yaml; found = yaml.safe_load(open(sys.argv[1]))\n"
CONFIGS = {
    "TOML": Config(
        name="c.toml",
        template='title = "a {word} # {seed}"\n[optim]\nlr = {learning_rate}\nbetas = [0.9, 0.95]\n'
        "[[run]]\nseed = {seed}\nfused = true\n",
        reads="import tomllib; found = tomllib.load(open(sys.argv[1], 'rb'))\n"
        "lr, seed = found['optim']['lr'], found['run'][0]['seed']\nassert found['run'][0]['fused'] is True",
    ),
    "INI": Config(
        name="c.ini",
        template="[optim]\nlr = {learning_rate}\n; {{seed}} comes below\n[run]\nseed: {seed}\nfused = yes\n",
        reads="import configparser; found = configparser.ConfigParser(); found.read(sys.argv[1])\n"
        "lr, seed = found.getfloat('optim', 'lr'), found.getint('run', 'seed')\n"
        "assert found.getboolean('run', 'fused')",
    ),
    "lists in YAML": Config(
        name="c.yaml",
        template="stages:\n  - name: train\n    args: [--lr, {learning_rate}, [{seed}, ~]]\n  - name: eval\n",
        reads=YAML + "_, lr, (seed, none) = found['stages'][0]['args']\nassert none is None",
    ),
    "numbers that PyYAML takes for texts": Config(
        name="c.yml",
        template="lr: '{learning_rate}'\nseed: \"{seed}\"\nweight_decay: 2e-4\n",
        reads=YAML + "lr, seed = found['lr'], found['seed']\nassert found['weight_decay'] == '2e-4'",
    ),
    "inside a text": Config(
        name="c.yaml",
        template='name: run-{learning_rate}-s{seed}\ndir: "{trial_dir}/out {seed}"\nlr: {learning_rate}\n'
        "seed: {seed}\nresume: null\nfp16: no\nprompt: 'Q: {question} A:'\n",
        reads=YAML + "lr, seed = found['lr'], found['seed']\n"
        "assert found['name'].endswith(f'-s{seed}') and found['prompt'] == 'Q: {question} A:'\n"
        "assert found['resume'] is None and found['fp16'] is False",
    ),
    "JSON with comments": Config(
        name="c.json",
        template='{\n  // the rate\n  "lr": {learning_rate}, "seed": {seed}\n}\n',
        refused="if the script reads comments, name it c.jsonc",
    ),
    "JSON with comments, named so": Config(
        name="c.jsonc",
        template='{\n  // the rate, of {lr}\n  "lr": {learning_rate}, /* not\n "seed": 1 */ "seed": "{seed}",'
        '\n  "url": "http://x//y", "list": [1, 2,],\n}\n',
        reads="import re; text = open(sys.argv[1]).read()\n"
        "text = re.sub(r'(?m)(?<!:)//(?!y).*$|/\\*(?s:.)*?\\*/', '', text)\n"
        "found = json.loads(re.sub(r',(\\s*[}\\]])', r'\\1', text))\nlr, seed = found['lr'], found['seed']",
    ),
    "JSON": Config(
        name="c.json",
        template='{"train": {"lr": "{learning_rate}", "seeds": [{seed}], "fp16": false, "resume": null}}',
        reads="found = json.load(open(sys.argv[1]))['train']\nlr, seed = found['lr'], found['seeds'][0]\n"
        "assert found['fp16'] is False and found['resume'] is None",
    ),
}
