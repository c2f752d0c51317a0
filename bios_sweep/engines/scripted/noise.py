"""What stands in a script's last lines and is no cause of its end: bars, hints, goodbyes, warnings. Pure."""

from __future__ import annotations

import re

LONGEST = 500  # characters of a line that are looked at; chosen: what matters in one stands at its beginning
COLOUR = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])")
# tqdm's: `  3%|3   | 3/100 [00:00<00:00, 310.67it/s]`, `Map: 12it [00:01, 9.1it/s, loss=2]`
BAR = re.compile(
    r"[^|\[\]]*\d%\|[^|]*\|[^\[]*(\[[^\]]*\]?)?|[^\[\]]*\d\S*it \[\d+:\d\d[^\]]*\]?"
    r"|[^\[\]]*\[\d+:\d\d<[^\]]*\]?"
)
DRAWN = re.compile(r"[━╸╺]{3}|[█▏▎▍▌▋▊▉]{3}|^[\u2800-\u28ff]")  # rich's bars and spinners
BOX = re.compile(r"^[╭│┃╰─━┌└\s]+|[╮│┃╯─━┐┘\s]+$")
# Looked for where a line begins.
NOISE = re.compile(
    "|".join(
        (
            r"wandb: |wandb:$|.*\bView (run|project|experiment)\b",
            r".*HYDRA_FULL_ERROR=1 for a complete|Error executing job with overrides:",
            r"(full_key|object_type|reference_type)\s*[:=]",  # of omegaconf, behind its sentence
            r"(\[\w+\]:\s*)?\[?[WI]\d{4,8} \d\d:\d\d:\d\d|.*destroy_process_group\(\)",  # glog
            r".*Warning: |.*(\b|_)warnings\.warn\(|.*\bresource_tracker\b|.*leaked \w+ objects",
            r"[^A-Za-z]{0,60}([A-Z]+ )?[^A-Za-z]{0,60}(WARNING|WARN|INFO|DEBUG)\b",  # loggers
            r".*( - |\[|[|:]) ?(WARNING|INFO|DEBUG) ?( - |\]|[|:])",
            r"Exception ignored |Error in (atexit|sys\.excepthook)|--- Logging error",  # Python itself
            r"Call stack:|(Message|Arguments): |Current thread 0x|\[Previous line repeated",
            r"Traceback \(most recent|The above exception was|During handling of the above",
            r"(srun|make|ninja|mpirun|slurmstepd): .*(Exited with|Error \d+$|build stopped|CANCELLED AT)",
            r"srun: (Job step aborted|Terminating|forcing)|Primary job  terminated|a non-zero exit code\.",
            r"mp(irun|iexec) (detected|noticed)|the job to be terminated\.|(Process name|Exit code): ",
            r".*To avoid data inconsistency, we are taking the entire process down",  # NCCL
            r"ClearML (Task|results page|Monitor)\b",
            r"E\d{4,8} .*torch/distributed/elastic|\[\S+ \S+\] \[(ERROR|INFO)\] \[launch\.py",  # launchers
            r"(time|host|rank|exitcode|traceback) +: |error_file: |\[\d+\]:$|.* FAILED$|Failures:$",
            r"Root Cause \(|<NO_OTHER",
            r"[Uu]sage: |Try '.* --help'|Pass --helpshort|Execution halted|note: run with `RUST_BACKTRACE",
            r"huggingface/tokenizers: |To disable this warning|- (Avoid using|Explicitly set) .*(?i:tokeniz)",
        )
    )
)


def plain(line: str) -> str:
    """Without colours, and without a progress bar: what stands behind one is a line of its own."""
    bare = COLOUR.sub("", line[:LONGEST])
    while "[" in bare and (bar := BAR.match(bare)):  # several where bars are nested
        bare = bare[bar.end() :]
    return bare


def says_something(line: str) -> bool:
    """Whether a line without its box may be why a script ended."""
    return bool(line.strip("=-_* \t~^.#\"'")) and not NOISE.match(line) and not DRAWN.search(line)
