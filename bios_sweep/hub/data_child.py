"""In a process of its own: the `datasets` library prepares a data set of the hub in its cache."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence

from huggingface_hub import HfApi

from bios_sweep.hub.client_child import Refusal, fail, refusal_of

NO_FILES = ("DataFilesNotFoundError", "EmptyDatasetError")  # of the library, by their names


def main(words: Sequence[str]) -> int:
    """`prepare KIND NAME REVISION SUBSET`: commit and subset as JSON, or 1 after a sentence."""
    _, _, name, revision, subset = words
    try:
        commit = str(HfApi().dataset_info(name, revision=revision).sha)
        import datasets  # seconds, which a data set that is not there need not wait

        datasets.disable_progress_bars()
        builder = datasets.load_dataset_builder(name, subset or None, revision=commit)
        if builder.hash != commit:
            raise Refusal("the hub stopped answering, and what the cache has is of another commit; try again")
        builder.download_and_prepare()
    except Exception as error:  # noqa: BLE001 - any failure of the library is told as one sentence
        return fail(_sentence(error, name, revision))
    sys.stdout.write(json.dumps({"commit": commit, "subset": builder.config.name}) + "\n")
    return 0


def _sentence(error: Exception, name: str, revision: str) -> str:
    said = str(error)
    configs = re.search(r"(?:Please pick one among the available configs|Available): (\[.*?\])", said)
    if configs:
        return f"has several subsets; choose one with data.subset=, of {configs[1]}"
    if type(error).__name__ in NO_FILES:
        return "has no files of data that the datasets library reads; give its files as data.path"
    if "scripts are no longer supported" in said:
        return "is made by a script, which is never run; look for a revision such as refs/convert/parquet"
    return refusal_of(error, name, revision)
