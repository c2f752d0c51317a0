"""A stand-in."""

from pathlib import Path


class AutoTokenizer:
    """Its folder is there."""

    @staticmethod
    def from_pretrained(folder: str) -> str:
        """No tokenizer."""
        assert Path(folder, "tokenizer.json").is_file()
        return folder
