"""The documents hold together: what the code cites is there, and what they name exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STATISTICS = "docs/statistics.md"
CITED = re.compile(r'docs/statistics\.md,\s+(?:items? (\d+(?:(?:,| and|, and) \d+)*)|"([^"]+)")')
BARE = re.compile(r"(?<!import )(?<!docs/)\bstatistics(?:, items?| items?|:) ?\d|\((?:see )?items? \d")
# Named here once, so that this file cites nothing itself.
SOURCES = [path for room in ("bios_sweep", "tests") for path in sorted((ROOT / room).rglob("*.py"))]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def cited_in(text):
    """Items and headings of the statistics page that a text cites."""
    for numbers, heading in CITED.findall(text):
        yield from re.findall(r"\d+", numbers)
        if heading:
            yield heading


def headings():
    """Number -> title and body of every item, and the titles of the other sections."""
    parts = re.split(r"^## ", (ROOT / STATISTICS).read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for part in parts:
        title, _, body = part.partition("\n")
        numbered = re.match(r"(\d+)\. ", title)
        found[numbered[1] if numbered else title] = body
    return found


def test_every_item_that_the_code_cites_is_in_the_statistics_page():
    there, cited = headings(), set()
    for path in SOURCES:
        if path != Path(__file__):
            cited |= {(name, path.name) for name in cited_in(path.read_text())}
    assert len(cited) >= 20
    assert not [one for one in cited if one[0] not in there]


def test_a_citation_that_leads_nowhere_is_seen():
    """The meta-test: an item that is not there, and both ways of citing several."""
    assert "99" not in headings()
    assert list(cited_in("# docs/statistics.md, item 99: so")) == ["99"]
    assert list(cited_in('(docs/statistics.md, items 6 and 13) docs/statistics.md, "Wording"')) == [
        "6",
        "13",
        "Wording",
    ]


def test_no_comment_cites_the_statistics_without_saying_where_they_are():
    bare = {
        path.name: found[0]
        for path in SOURCES
        if path != Path(__file__) and (found := BARE.search(path.read_text()))
    }
    assert not bare
    for seen in ("# statistics item 3", "(statistics, items 6 and 13)", "best against best (item 11)."):
        assert BARE.search(seen)
    assert not BARE.search("docs/statistics.md, item 11")


def test_items_are_numbered_without_a_gap_and_each_names_modules_that_exist():
    there = headings()
    numbered = [name for name in there if name.isdigit()]
    assert numbered == [str(number) for number in range(1, len(numbered) + 1)]
    for name in [*numbered, "Wording"]:
        modules = re.findall(r"`(bios_sweep(?:\.\w+)+)`", there[name])
        assert modules, f"item {name} names no module"
        missing = [module for module in modules if not (ROOT / f"{module.replace('.', '/')}.py").exists()]
        assert not missing


def test_what_is_printed_is_held_by_tests_that_exist():
    part = (ROOT / STATISTICS).read_text().partition("### What is always printed, and where")[2]
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", part.partition("\n## ")[0])
    assert len(named) > 15
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), f"{file}::{test}"


def test_every_fault_of_the_page_of_failures_is_held_by_tests_that_exist():
    part = (ROOT / "docs/failures.md").read_text().partition("| what | what happens | test |")[2]
    rows = part.partition("\n\n")[0].strip().splitlines()[1:]
    assert len(rows) > 20
    for row in rows:
        named, tests = 0, ""
        for file, name in re.findall(r"`(tests/[\w/]+\.py)`|`(test_\w+)`", row):
            tests = (ROOT / file).read_text() if file else tests
            named += bool(name)
            assert not name or f"def {name}(" in tests, f"{name} in the row {row}"
        assert named or "tests/" in row, f"no test in the row {row}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_a_page_gives_for_tests_name_files_that_exist(page):
    for name, selected in re.findall(r"\b(tests/[\w/]+\.py)\b(?: -k (\w+))?", page.read_text()):
        assert selected in (ROOT / name).read_text(), f"{name} -k {selected}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_to_files(page):
    """The site's strict build checks the same; here it costs no extra package."""
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_page_of_the_rooms_has_the_floors_that_are_checked():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    checked = [set(re.findall(r"\w+", layer)) for layer in layers]
    told = []
    for floor, rooms in re.findall(
        r"^\| *(\d*) *\| ((?:`\w+`(?:, )?)+) \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE
    ):
        told += [set()] if floor else []
        told[-1] |= set(re.findall(r"\w+", rooms))
    assert told == checked


def test_every_page_is_in_the_site_s_menu():
    """Else the strict build fails; here it costs no extra package."""
    menu = set(re.findall(r"\b([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= menu


def test_every_supported_python_is_tested_on_the_hosting_platform():
    versions = re.findall(
        r"3\.\d+", re.search(r"python: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text())[1]
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if "Python :: 3." in line]
    assert versions == told
    assert project["requires-python"] == f">={versions[0]}"


def test_commands_of_the_hooks_before_a_commit_are_those_of_make_lint():
    hooks = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    lint = re.findall(
        r"^\t\$\(BIN\)/(ruff .*|mypy|lint-imports)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert sorted(f".venv/bin/{command}" for command in lint) == sorted(hooks)
