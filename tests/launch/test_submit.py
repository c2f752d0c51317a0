"""Ways to launch: what is written, what is refused, and that nothing typed by a user is read as code."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bios_sweep.cli.main import main
from bios_sweep.errors import ConfigError
from bios_sweep.launch.job import StudyCommand
from bios_sweep.launch.kuberay import KubeRayOptions, rayjob_manifest
from bios_sweep.launch.rayjob import RayJobOptions, job_script, job_words
from bios_sweep.launch.slurm import SlurmOptions, sbatch_file
from bios_sweep.request import Request

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
STUDY = ("sweeps=learning_rate", "model=planted", "budget=demo")
ENTRYPOINT = (
    "bios-sweep", "run", *STUDY, "cluster=existing", "cluster.address=auto", "workspace=/mnt/bios/runs",
)  # fmt: skip
COMMAND = StudyCommand(
    sweep_id="learning_rate-0123abcd",
    words=ENTRYPOINT,
    folder="/home/ada/study",
    workspace="/mnt/bios/runs",
    stop_file="/mnt/bios/runs/stop",
    request=Request(address="auto", cpus_per_trial=4, gpus_per_trial=1),
)


def options_of(to, **changes):
    """The group file's values with changes, checked."""
    kind = {"slurm": SlurmOptions, "kuberay": KubeRayOptions, "rayjob": RayJobOptions}[to]
    values = yaml.safe_load((ROOT / "conf" / "submit" / f"{to}.yaml").read_text())
    needed = {"image": "registry.example.com/bios:1", "claims": {"bios-data": "/mnt/bios"}}
    return kind.from_values(values | (needed if to == "kuberay" else {}) | changes)


def text_of(to, command=COMMAND, **changes):
    write = {"slurm": sbatch_file, "kuberay": rayjob_manifest, "rayjob": job_script}[to]
    return write(command, options_of(to, **changes))


FULL = {
    "slurm": {
        "nodes": 4, "cpus_per_node": 32, "gpus_per_node": 8, "gpu_type": "a100", "memory": "512G",
        "time": "2-12:00:00", "partition": "gpu", "account": "lab-7", "qos": "high", "notice_seconds": 120,
        "venv": "/mnt/bios/venv of ada", "environment": {"HF_HUB_OFFLINE": 1, "GREETING": "it's $HOME"},
        "setup": ["module load cuda/12.8"], "directives": ["--constraint=ib", "--mail-type=END"],
    },
    "slurm_pyxis": {
        "container": "nvcr.io#nvidia/pytorch:25.01-py3", "container_mounts": ["/data", "/a:/b:ro"],
        "requeue": False, "exclusive": False,
    },
    "slurm_apptainer": {
        "container": "/mnt/bios/bios.sif", "container_engine": "apptainer", "container_mounts": ["/mnt/bios"],
    },
    "kuberay": {
        "namespace": "research", "service_account": "trainer", "replicas": 6, "gpus": 4, "cpus": 32,
        "memory": "256Gi", "claims": {"bios-data": "/mnt/bios", "models": "/models"},
        "environment": {"RATE": "1e-4", "HF_HUB_OFFLINE": "1"},
        "secrets": {"MLFLOW_TRACKING_PASSWORD": "mlflow-login/password"},
        "image_pull_secrets": ["registry"], "tolerations": ["nvidia.com/gpu"], "deadline_seconds": 86400,
        "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-l4"},
    },
    "rayjob": {
        "address": "http://head:8265", "working_dir": "/home/ada/study",
        "runtime_env": {"pip": ["bios-sweep"], "env_vars": {"GREETING": "it's $HOME"}}, "wait": True,
    },
}  # fmt: skip
SUFFIX = {"slurm": "sbatch", "kuberay": "yaml", "rayjob": "sh"}
CASES = [
    *((f"{to}_default", to, {}) for to in SUFFIX),
    *((n, n.partition("_")[0], o) for n, o in FULL.items()),
]


@pytest.mark.parametrize(("name", "to", "changes"), CASES)
def test_what_is_written_is_the_golden_file(name, to, changes):
    golden = GOLDEN / f"submit_{name}.{SUFFIX[to]}"
    text = text_of(to, **changes)
    if os.environ.get("WRITE_GOLDEN"):  # after a change on purpose: read the difference, then commit it
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("submit_*")), ids=lambda path: path.name)
def test_every_golden_file_is_read_by_its_reader(golden):
    if golden.suffix == ".yaml":
        job = yaml.safe_load(golden.read_text())
        assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
        assert shlex.split(job["spec"]["entrypoint"]) == list(ENTRYPOINT)
    else:
        subprocess.run(["bash", "-n", golden], check=True, timeout=20)


def test_a_broken_script_would_be_seen(tmp_path):
    (tmp_path / "broken.sbatch").write_text(text_of("slurm").replace("fi\n", "\n"))
    assert subprocess.run(["bash", "-n", tmp_path / "broken.sbatch"], capture_output=True).returncode


def test_the_whole_of_slurms_words_comes_before_the_first_command():
    lines = text_of("slurm", **FULL["slurm"]).splitlines()
    last = max(place for place, line in enumerate(lines) if line.startswith("#SBATCH"))
    assert all(line.startswith("#") for line in lines[:last])
    assert "#SBATCH --signal=B:TERM@120" in lines
    assert "#SBATCH --requeue" in lines


def arguments_seen(script, folder, **environment):
    """Run a script with `srun`, `ray`, `sbatch` that only tell their arguments; what they told, by name."""
    folder.mkdir(exist_ok=True)
    for name in ("srun", "ray", "sbatch"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\0" {name} "$@" >> {shlex.quote(str(folder / "told"))}\n')
        program.chmod(0o755)
    (folder / "scontrol").write_text("#!/bin/sh\necho node-1\necho node-2\n")
    (folder / "scontrol").chmod(0o755)
    (folder / "script").write_text(script)
    subprocess.run(
        ["bash", folder / "script"],
        env={
            "PATH": f"{folder}:/usr/bin:/bin",
            "SLURM_JOB_NODELIST": "node-[1-2]",
            "SLURM_JOB_NUM_NODES": "2",
        }
        | environment,
        check=True,
        timeout=20,
    )
    return (folder / "told").read_text().split("\0")[:-1]


# what a shell, a directive, YAML or printf might read as something else
HOSTILE = st.text(
    alphabet=st.sampled_from(list(" abz09'\"\\$`;&|<>(){}[]*?!#~=%:,@^+-é界")), min_size=1, max_size=30
)


@settings(max_examples=30, deadline=None)
@given(value=HOSTILE)
def test_an_override_arrives_as_it_was_typed_in_a_manifest(value):
    command = replace(COMMAND, words=(*ENTRYPOINT, f"model.name={value}"))
    job = yaml.safe_load(text_of("kuberay", command))
    assert shlex.split(job["spec"]["entrypoint"]) == list(command.words)


def test_an_override_arrives_as_it_was_typed_through_bash(tmp_path):
    value = 'it\'s $HOME `id` \\ "x" ; rm -rf / # * {a: [1, 2]} $(id)'
    command = replace(COMMAND, words=(*ENTRYPOINT, f"model.name={value}"), folder=str(tmp_path))
    told = arguments_seen(text_of("slurm", command), tmp_path / "bin")
    assert told[told.index("--") + 1 :] == list(command.words)
    assert told[told.index("--address") + 1] == "node-1:6379"
    assert told[told.index("--min-nodes") + 1] == "2"
    (tmp_path / "bin" / "told").unlink()
    told = arguments_seen(text_of("rayjob", command, **FULL["rayjob"]), tmp_path / "bin")
    assert tuple(told) == job_words(command, options_of("rayjob", **FULL["rayjob"]))
    assert told[told.index("--") + 1 :] == list(command.words)


@pytest.mark.parametrize(
    ("time", "status", "restarts", "requeue", "expected"),
    [
        ("0:02:00", 143, 0, True, True),
        ("1:00:00", 143, 0, True, False),  # far from the limit: a preemption (Slurm's own) or `scancel`
        ("0:02:00", 0, 0, True, False),  # finished in spite of the notice
        ("0:02:00", 3, 0, True, False),  # finished with failed trials
        ("0:02:00", 143, 20, True, False),
        ("0:02:00", 143, 0, False, False),
    ],
)
def test_a_notice_asks_the_driver_to_stop_and_only_the_time_limit_queues_the_job_again(
    tmp_path, time, status, restarts, requeue, expected
):
    stop = tmp_path / "the stop"
    command = replace(COMMAND, stop_file=str(stop), folder=str(tmp_path))
    (tmp_path / "script").write_text(text_of("slurm", command, time=time, requeue=requeue))
    (tmp_path / "srun").write_text(f"#!/bin/sh\nkill -TERM $BATCH\nexit {status}\n")
    (tmp_path / "scontrol").write_text('#!/bin/sh\n[ "$1" = show ] || echo "$@" > requeued\n')
    for name in ("srun", "scontrol"):
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "SLURM_RESTART_COUNT": str(restarts),
        "SLURM_JOB_ID": "7",
    }
    itself = ["bash", "-c", "export BATCH=$$; source ./script"]
    done = subprocess.run(itself, cwd=tmp_path, env=environment, timeout=20, check=False)
    assert (done.returncode, stop.exists()) == (status, True)
    assert (tmp_path / "requeued").exists() == expected


@pytest.mark.parametrize(
    "value", ["1e-4", "0o7", "on", "null", "12", "0x1f", "1:30", "~", "2026-11-24", ".inf"]
)
def test_a_text_that_looks_like_something_else_stays_a_text(value):
    written = text_of("kuberay", environment={"VALUE": value})
    assert f'"{value}"' in written or f"'{value}'" in written


@pytest.mark.parametrize("control", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\u2028", "\u202e", "\ud800"])
def test_control_characters_are_refused_everywhere(control):
    bad = f"a{control}b"
    with pytest.raises(ConfigError, match="control characters"):
        replace(COMMAND, words=(*ENTRYPOINT, bad))
    for to, changes in (
        ("slurm", {"partition": bad}),
        ("slurm", {"setup": [bad]}),
        ("slurm", {"directives": [f"--comment={bad}"]}),
        ("slurm", {"venv": f"/{bad}"}),
        ("slurm", {"container": bad}),
        ("slurm", {"environment": {"A": bad}}),
        ("kuberay", {"image": bad}),
        ("kuberay", {"node_selector": {"zone": bad}}),
        ("kuberay", {"environment": {"A": bad}}),
        ("rayjob", {"address": f"http://{bad}"}),
        ("rayjob", {"runtime_env": {"env_vars": {"A": bad}}}),
        ("rayjob", {"working_dir": bad}),
    ):
        with pytest.raises(ConfigError, match=r"^submit\."):
            options_of(to, **changes)


@pytest.mark.parametrize(
    ("to", "changes", "told"),
    [
        ("slurm", {"time": 86400}, "submit.time: 86400 is not allowed; a quoted text"),
        ("slurm", {"nodes": 0}, "submit.nodes: 0 is not allowed; a whole number of at least 1"),
        ("slurm", {"nodes": True}, "submit.nodes: True is not allowed"),
        ("slurm", {"memory": "lots"}, "a size per node such as 64G"),
        ("slurm", {"account": "a b"}, "submit.account"),
        ("slurm", {"directives": ["#SBATCH --x"]}, "an option of sbatch such as --constraint=a100"),
        ("slurm", {"container_mounts": ["/a,/b"]}, "absolute paths"),
        ("slurm", {"container": "x", "venv": "/v"}, "use one of the two"),
        ("slurm", {"container_engine": "docker"}, "choose from pyxis, apptainer"),
        ("slurm", {"exclusive": "yes"}, "true or false"),
        ("slurm", {"setup": "module load x"}, "a list"),
        ("slurm", {"nodes_": 1}, "submit.nodes_: unknown key"),
        ("slurm", {"environment": {"WANDB_API_KEY": "x"}}, "looks like a secret"),
        ("kuberay", {"image": None}, "submit.image: missing"),
        ("kuberay", {"secrets": {"PASSWORD": "hunter2"}}, "SECRET/KEY"),
        ("kuberay", {"namespace": "My_Space"}, "small letters"),
        ("kuberay", {"ray_version": "2.40.0"}, "submit.auth=false"),
        ("kuberay", {"submission_mode": "Fax"}, "choose from K8sJobMode, HTTPMode"),
        ("kuberay", {"claims": {"bios-data": "mnt"}}, "an absolute path such as /mnt/bios"),
        ("kuberay", {"gpus": 0.5}, "submit.gpus: 0.5 is not allowed"),
        ("rayjob", {"address": "http://u:p@head:8265"}, "http://HEAD:8265"),
        ("rayjob", {"runtime_env": {"env_vars": {"HF_TOKEN": "x"}}}, "looks like a secret"),
        ("rayjob", {"runtime_env": {"working_dir": "."}}, "give it as submit.working_dir"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_its_key(to, changes, told):
    with pytest.raises(ConfigError) as error:
        options_of(to, **changes)
    assert told in str(error.value)
    assert str(error.value).startswith("submit.")


@pytest.mark.parametrize(
    ("to", "changes", "told"),
    [
        ("slurm", {"gpus_per_node": 0}, "0 per node is offered but cluster.gpus_per_trial=1 is needed"),
        ("slurm", {"cpus_per_node": 2}, "2 per node is offered but cluster.cpus_per_trial=4 is needed"),
        ("kuberay", {"gpus": 0}, "raise submit.gpus or lower cluster.gpus_per_trial"),
    ],
)
def test_nodes_on_which_no_trial_fits_are_refused_needed_against_offered(to, changes, told):
    with pytest.raises(ConfigError) as error:
        text_of(to, **changes)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("to", "memory", "fits", "told"),
    [
        ("slurm", "64G", 64, "submit.memory: 64 GiB per node are offered but cluster.memory_per_trial=64.5"),
        ("slurm", "2048M", 2, "submit.memory: 2 GiB per node"),
        ("kuberay", "32Gi", 32, "submit.memory: 32 GiB per node"),
        ("kuberay", "64G", 59.6, "submit.memory: 59.6046 GiB per node"),
    ],
)
def test_a_trial_that_asks_for_more_memory_than_a_node_has_is_refused(to, memory, fits, told):
    request = replace(COMMAND.request, memory_per_trial=fits)
    text_of(to, replace(COMMAND, request=request), memory=memory)
    more = replace(request, memory_per_trial=fits + 0.5)
    with pytest.raises(ConfigError) as error:
        text_of(to, replace(COMMAND, request=more), memory=memory)
    assert told in str(error.value)


@pytest.mark.parametrize("memory", [None, "0G"])
def test_memory_that_slurm_gives_without_a_number_is_not_checked(memory):
    request = replace(COMMAND.request, memory_per_trial=4096)
    assert "#SBATCH --nodes" in text_of("slurm", replace(COMMAND, request=request), memory=memory)


@pytest.mark.parametrize("claims", [{}, {"other": "/mnt/other"}, {"near": "/mnt/bio"}])
def test_a_workspace_that_would_go_with_the_pods_is_refused(claims):
    with pytest.raises(ConfigError, match="lies on no claim and would go with the pods"):
        text_of("kuberay", claims=claims)


def test_a_long_sweep_name_still_makes_a_name_that_kubernetes_takes():
    name = replace(COMMAND, sweep_id="Über_long_" + "x" * 80 + "-0123abcd").name
    assert len(name) <= 47
    assert name.endswith("-0123abcd")
    assert replace(COMMAND, sweep_id="a-0123abcd").name == "bios-a-0123abcd"


@pytest.fixture
def submit(tmp_path, monkeypatch, capsys):
    """`bios-sweep submit` with the planted study in an empty folder: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = main(["submit", *STUDY, *words])
        return (code, *capsys.readouterr())

    return call


def test_by_default_the_file_is_written_and_the_command_said_and_nothing_sent(submit, tmp_path):
    code, out, _ = submit("--to", "slurm")
    (file,) = tmp_path.iterdir()
    assert code == 0
    assert file.name.startswith("bios-learning-rate-")
    assert file.suffix == ".sbatch"
    assert f"submit it with: sbatch {file}" in out
    assert f"the workspace {tmp_path / 'bios_runs'} must be on storage that every node sees" in out
    assert f"workspace={tmp_path / 'bios_runs'}" in file.read_text()


def test_a_dry_run_prints_the_file_and_writes_nothing(submit, tmp_path):
    code, out, _ = submit("--to", "slurm", "--dry-run")
    assert (code, list(tmp_path.iterdir())) == (0, [])
    assert out.startswith("#!/bin/bash\n")
    assert submit("--to", "slurm", "--dry-run", "--send")[0] == 2


def test_json_tells_what_was_written(submit):
    code, out, _ = submit(
        "--to", "rayjob", "--json", "workspace=/shared/runs", "submit.address=http://head:8265"
    )
    answer = json.loads(out)
    assert code == 0
    assert Path(answer["file"]).read_text() == answer["content"]
    assert answer["submit_with"].startswith(
        "ray job submit --address http://head:8265 --no-wait -- bios-sweep"
    )
    assert (answer["to"], answer["submitted"], answer["trials"]) == ("rayjob", None, 15)


def test_the_entrypoint_is_the_study_and_none_of_the_options(submit):
    words = ("submit.nodes=2", "cluster.gpus_per_trial=0.5", "seeds=[0,1]", "workspace=/shared/the runs")
    answer = json.loads(submit("--to", "slurm", "--dry-run", "--json", *words)[1])
    assert shlex.split(answer["entrypoint"]) == [
        "bios-sweep", "run", *STUDY, "cluster.gpus_per_trial=0.5", "seeds=[0,1]", "cluster=existing",
        "cluster.address=auto", "workspace=/shared/the runs",
    ]  # fmt: skip


def test_a_cluster_group_of_ones_own_choice_keeps_its_resources(submit):
    words = ("cluster=local_gpu", "cluster.address=elsewhere:6379", "cluster.num_cpus=3")
    answer = json.loads(submit("--to", "slurm", "--dry-run", "--json", *words)[1])
    assert [word for word in shlex.split(answer["entrypoint"]) if word.startswith("cluster")] == [
        "cluster=local_gpu",
        "cluster.address=auto",
    ]


def test_the_entrypoint_plans_the_very_same_sweep(submit, capsys):
    answer = json.loads(submit("--to", "slurm", "--dry-run", "--json", "budget.max_steps=40")[1])
    assert main(["plan", "--json", *shlex.split(answer["entrypoint"])[2:]]) == 0
    assert json.loads(capsys.readouterr().out)["sweep_id"] == answer["sweep_id"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--to", "slurm", "bugdet=demo"), "unknown key 'bugdet'"),
        (("--to", "slurm", "submit.node=2"), "did you mean 'submit.nodes'"),
        (("--to", "slurm", "submit=kuberay"), "is chosen by --to slurm"),
        (("--to", "slurm", "cluster=inline"), "runs in one process"),
        (("--to", "slurm", "submit.gpus_per_node=0"), "is needed by one trial"),
        (("--to", "slurm", "budget.max_steps=0"), "max_steps"),
        (
            ("--to", "slurm", "tracking=sqlite", "tracking.uri=http://ada:hunter2-hunter2@host:5000"),
            "tracking.uri: holds the value of MLFLOW_TRACKING_PASSWORD",  # it was moved there
        ),
        (("--to", "slurm", "model.name='a\tb'"), "control characters"),
        (("--to", "slurm", "--send"), "`sbatch` is not on this machine"),
        (("--to", "kuberay", "submit.image=x:1"), "lies on no claim"),
        (("--to", "rayjob"), "workspace: bios_runs is relative"),
    ],
)
def test_what_cannot_be_launched_ends_with_2_in_one_sentence_and_writes_nothing(
    submit, tmp_path, words, told
):
    code, out, err = submit(*words)
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert told in err
    assert "hunter2" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_secret_of_the_environment_never_reaches_the_file(submit, tmp_path, monkeypatch):
    monkeypatch.setenv("SITE_TOKEN", "planted-secret-1")
    code, _, err = submit("--to", "slurm", "submit.setup=['curl -H planted-secret-1 host']")
    assert code == 2
    assert "the value of SITE_TOKEN" in err
    assert "planted-secret-1" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_that_a_ray_job_would_not_find_is_refused(submit, tmp_path):
    (tmp_path / "mine").mkdir()
    words = ("--to", "rayjob", "--dry-run", "workspace=/shared/runs", "--config-dir", "mine")
    code, _, err = submit(*words)
    assert code == 2
    assert "--config-dir: mine is relative, and the job starts in another folder" in err
    assert submit(*words, f"submit.working_dir={tmp_path}")[0] == 0


def test_an_edited_file_is_not_written_over(submit, tmp_path):
    assert submit("--to", "slurm")[0] == 0
    assert submit("--to", "slurm")[0] == 0
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text() + "# mine\n")
    code, _, err = submit("--to", "slurm")
    assert code == 2
    assert "is there and differs; remove it, or choose another with --file" in err
    assert file.read_text().endswith("# mine\n")
    assert submit("--to", "slurm", "--file", "b.sbatch")[0] == 0


@pytest.mark.parametrize(
    ("answer", "code"), [("echo Submitted batch job 7", 0), ("echo no quota >&2; exit 1", 2)]
)
def test_send_submits_the_written_file_and_tells_the_answer(submit, tmp_path, monkeypatch, answer, code):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(f'#!/bin/sh\nprintf "%s" "$1" > {folder}/told\n{answer}\n')
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    ended, out, err = submit("--to", "slurm", "--send")
    assert ended == code
    assert Path((folder / "told").read_text()).read_text().startswith("#!/bin/bash")
    assert ("Submitted batch job 7" in out) == (code == 0)
    assert ("`sbatch` refused the job (no quota); nothing was started" in err) == (code == 2)


RAY = ("--to", "rayjob", "--send", "submit.address=http://127.0.0.1:8265", "workspace=/shared/runs")


@pytest.fixture
def ray_says(tmp_path, monkeypatch):
    """A `ray` in front of the path that runs these shell lines."""

    def put(lines):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "ray").write_text(f"#!/bin/sh\n{lines}\n")
        (tmp_path / "bin" / "ray").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    return put


def test_a_ray_without_its_job_server_is_told_with_the_extra_that_brings_it(submit, ray_says):
    ray_says(
        "echo 'ConnectionError: Failed to connect to Ray at address: http://127.0.0.1:8265.' >&2; exit 1"
    )
    code, _, err = submit(*RAY)
    assert code == 2
    assert "127.0.0.1:8265); nothing was started; on the head, `pip install 'bios-sweep[cluster]'`" in err


def test_the_answer_of_a_ray_that_colours_is_plain_text(submit, ray_says):
    ray_says(r"printf '\033[32mJob raysubmit_7 submitted\033[39m\n'")
    code, out, _ = submit(*RAY, "--json")
    assert code == 0
    assert json.loads(out)["submitted"] == "Job raysubmit_7 submitted"


@pytest.mark.parametrize(("status", "code"), [(0, 0), (1, 2)])
def test_a_job_that_is_followed_is_heard_live_and_a_failure_is_not_called_a_refusal(
    ray_says, tmp_path, monkeypatch, capfd, status, code
):
    monkeypatch.chdir(tmp_path)
    ray_says(f"echo the log; exit {status}")
    ended = main(["submit", *STUDY, *RAY, "submit.wait=true"])
    out, err = capfd.readouterr()
    assert ended == code
    assert "the log" in err
    assert ("the job ended well" in out) == (code == 0)
    assert ("ended with status 1: the job was refused or did not end well" in err) == (code == 2)
    assert "nothing was started" not in err
