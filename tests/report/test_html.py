"""The page: one file that asks for nothing, in which a user's text is only text."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser

import pytest
from matplotlib.text import Text

from bios_sweep.audit.rollup import RollUpRow
from bios_sweep.decision.choice import NextStep, Step
from bios_sweep.decision.frontier import FrontierPoint
from bios_sweep.decision.rows import Estimate, RateRow
from bios_sweep.reasons import Kind, Reason
from bios_sweep.report.content.arm_rows import ArmRow
from bios_sweep.report.content.lines import titled, verdict_line
from bios_sweep.report.content.parts import CellRow, ModeratorRow, SearchRow
from bios_sweep.report.content.sections import by_rate, moderators, roll_up, search, sections
from bios_sweep.report.content.wording import times
from bios_sweep.report.figures.canvas import families_of
from bios_sweep.report.figures.curves import paired_gains
from bios_sweep.report.figures.effects import draw_effects, effect_groups
from bios_sweep.report.figures.files import figures_of, save_figures, to_svg
from bios_sweep.report.figures.frontier import draw_frontier, goals_of
from bios_sweep.report.figures.response import draw_response, shared_means
from bios_sweep.report.text.html import to_html
from bios_sweep.report.text.markdown import to_markdown
from bios_sweep.report.text.publish import write_report
from bios_sweep.report.text.terminal import print_verdicts
from bios_sweep.study.factors import Cross, Factor, Nuisance
from tests.report.summaries import planted_study, shown, summary_of

EVIL = (
    "<script>alert(1)</script>\"'><img src=http://x.test/a onerror=go()> \x1b[31mred\x1b[0m {{ 7 * 7 }} &amp;"
)
VOID = {"meta", "link", "br", "img", "hr"}


class Page(HTMLParser):
    """What a real parser sees: elements in order, their attributes, the text, and whether tags close."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.open, self.crossed = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def attributes(self, name):
        return [attributes[name] for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return summary_of(planted_study(), tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def rich(demo):
    """The demo with every optional key: claims, costs, rates, frontier, profiles, moderators, search."""
    return enriched(demo)


@pytest.fixture(scope="module")
def drawn(rich):
    return tuple(figures_of(rich))


@pytest.fixture(scope="module")
def whole(rich, drawn):
    """The text and the parsed page of the rich summary with its figures."""
    return page_of(rich, drawn)


def enriched(demo):
    rate, rank = demo.verdicts
    costs = {"cost_ratio": 1.8, "cost_lower": 1.71, "cost_upper": 1.89, "iso_cost_percent": -0.05}
    rows = (rate_row(8, -0.2, 0.7, 0.002, differs=True), rate_row(128, 0.0, 0.0, 0.007, differs=False))
    cell = CellRow(cell="train_examples=500", verdict="confirm", gain=0.1, lower=-0.1, upper=0.3)
    moderator = ModeratorRow(
        factor="lora_rank",
        moderator="train_examples",
        arm="lora_rank=8",
        variation="lora_rank=8",
        cells=(cell,),
        difference=1.2,
        lower=0.8,
        upper=1.6,
        sentence="the best rank grows with the data",
    )
    return replace(
        demo,
        verdicts=(
            replace(rate, bracket=(0.0018, 0.0036)),
            replace(rank, claim="enough", **costs, hardware="2-core CPU", by_rate=rows),
            replace(rank, claim="speed", verdict="refine", best_level=8),
        ),
        frontier=tuple(frontier_row(arm.arm, place) for place, arm in enumerate(demo.arms)),
        profiles={"speed": {"lora_rank": 8}, "quality": {"lora_rank": 128}},
        importance={"lora_rank": 0.2, "learning_rate": 0.8},
        moderators=(moderator,),
        search=SearchRow(
            trials=40,
            ranges={"lora_rank": (8, 128)},
            best={"lora_rank": 16},
            screening_gain=1.4,
            confirmed_gain=1.02,
            confirmed_lower=None,
        ),
    )


def rate_row(level, same, best, rate, *, differs):
    return RateRow(
        level=level,
        label=str(level),
        gain_same_rate=same,
        gain_best_rate=best,
        best_rate=rate,
        conclusion_same_rate="worse",
        conclusion_best_rate="better",
        differs=differs,
    )


def frontier_row(name, place):
    return FrontierPoint(
        arm=name,
        gain=0.3 * place,
        lower=0.3 * place - 0.2,
        upper=0.3 * place + 0.2,
        cost_ratio=0.5 + 0.5 * place,
        cost_lower=0.4 + 0.5 * place,
        cost_upper=0.6 + 0.5 * place,
        steps=100,
        examples=3200,
        on_frontier=place != 2,
    )


def poisoned(value):
    """The same shape with the evil text in every string that is not a name the code looks up."""
    kept = {"stage", "direction", "status", "verdict"}
    if isinstance(value, Reason):
        return Kind("{words}")(words=f"{value} {EVIL}")
    if is_dataclass(value):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{name: poisoned(each) for name, each in named.items() if name not in kept})
    if isinstance(value, Mapping):
        return {name: poisoned(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(poisoned(each) for each in value)
    return f"{value} {EVIL}" if isinstance(value, str) else value


def page_of(summary, drawn=()):
    text = to_html(summary, drawn)
    parsed = Page(text)
    assert (parsed.crossed, parsed.open) == ([], [])
    return text, parsed


# escaping


def with_step(verdict):
    step = NextStep(kind=Step.LEVEL, trials=3, levels=(EVIL,), command=f"bios-sweep {EVIL}")
    return replace(verdict, now=replace(verdict.now, step=step))


@pytest.fixture(scope="module")
def evil(rich):
    """Arms keep their identity between the parts of the summary, so each name is poisoned the same way."""
    summary = poisoned(rich)
    first, *others = summary.verdicts
    return replace(
        summary,
        curves={f"{name} {EVIL}": curves for name, curves in rich.curves.items()},
        profiles={EVIL: {f"x{EVIL}": EVIL}},
        importance={EVIL: 0.5},
        baseline={**rich.baseline, EVIL: EVIL},
        verdicts=(with_step(first), *others),
    )


@pytest.mark.filterwarnings("error::UserWarning")
def test_no_text_of_a_user_becomes_an_element(evil, whole):
    plain = whole[1]
    text, parsed = page_of(evil, tuple(figures_of(evil)))
    assert {tag for tag, _ in parsed.elements} == {tag for tag, _ in plain.elements}
    assert not parsed.named("script")
    assert not parsed.named("img")
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert "\x1b" not in text
    assert "<script>alert(1)</script>" in "".join(parsed.text)
    assert "49" not in "".join(parsed.text).split()


def test_the_escape_test_can_fail(evil):
    assert Page(f"<p>{evil.question}</p>").named("script")


def test_every_place_of_the_page_that_shows_text_was_poisoned(evil):
    text = "".join(page_of(evil)[1].text)
    for part in ("sentence", "reasons", "scope"):
        told = getattr(evil.verdicts[0], part)
        assert str(told if isinstance(told, str) else told[0])[:20] in text
    assert text.count("alert(1)") > 60


# self-contained


def test_the_page_asks_for_nothing_from_outside(whole):
    text, parsed = whole
    addresses = [*parsed.attributes("href"), *parsed.attributes("src"), *parsed.attributes("xlink:href")]
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    outside = [url for url in re.findall(r"https?://[^\s\"'<)]+", text) if "www.w3.org" not in url]
    assert outside == []
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    (policy,) = [
        m["content"] for m in parsed.named("meta") if m.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'")


def test_identities_on_the_page_are_unique_and_found(whole, drawn):
    _, parsed = whole
    identities = parsed.attributes("id")
    assert len(identities) == len(set(identities))
    wanted = {address[1:] for address in parsed.attributes("xlink:href")}
    assert wanted
    assert wanted <= set(identities)
    assert set(parsed.attributes("aria-labelledby")) <= set(identities)


def test_the_same_sweep_gives_the_same_bytes(rich, whole):
    assert to_html(rich, tuple(figures_of(rich))) == whole[0]


def test_publishing_again_changes_no_byte(tmp_path):
    summary = summary_of(planted_study(), tmp_path / "trials")
    files = write_report(summary, [], tmp_path / "out")
    assert tmp_path / "out" / "report.html" in files
    before = {path: path.read_bytes() for path in files}
    assert write_report(summary, [], tmp_path / "out") == files
    assert {path: path.read_bytes() for path in files} == before


# what it says


def test_the_first_screen_has_the_question_the_verdicts_in_words_and_what_to_do(rich):
    text = " ".join("".join(page_of(rich)[1].text).split())
    first = text[: text.index("Evidence")]
    assert "Are the defaults right?" in first
    assert "lora_rank (enough) ✓ confirm keep 32" in first
    assert "lora_rank (speed) → refine when time is short, use 8 instead of 32" in first
    assert (
        "learning_rate ? inconclusive must you choose now? Use 0.001838: it is better than 0.007353" in first
    )


def test_the_page_has_scope_caveats_counts_and_the_command(rich):
    text = " ".join("".join(page_of(rich)[1].text).split())
    assert rich.command in text
    assert "this evaluation set (500 examples of docstrings)" in text
    assert "21 trials planned = 18 completed + 3 diverged + 0 failed" in text
    assert "interactions were not tested" in text
    assert "learning_rate x4, seeds 0, 1, 2: diverged" in text
    assert "batch_size 32 instead of 128" in text
    assert rich.sweep_id in text


def test_every_table_cell_and_figure_can_be_heard(whole, drawn):
    _, parsed = whole
    assert all(header.get("scope") in ("col", "row") for header in parsed.named("th"))
    drawings = parsed.named("svg")
    assert len(drawings) == len(drawn) == 5
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    assert parsed.named("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_a_sweep_without_results_is_a_page_all_the_same(tmp_path):
    summary = summary_of(planted_study(), tmp_path, at_most=0)
    text = "".join(page_of(summary, tuple(figures_of(summary)))[1].text)
    assert "no verdict yet (screening: 0 of 21 trials ended)" in text


@pytest.mark.parametrize("palette", ["light", "dark"])
def test_text_has_the_contrast_that_the_guideline_asks_for(rich, palette):
    """WCAG 2.2, 1.4.3: 4.5 to 1; 1.4.11: 3 to 1 for what is drawn."""
    blocks = re.findall(r":root \{([^}]*)\}", to_html(rich))
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[("light", "dark").index(palette)]))
    pairs = [(ink, paper) for ink in ("ink", "text", "muted") for paper in ("paper", "sheet")]
    pairs += [(word, f"{word}-back") for word in ("confirm", "refine", "open")] + [("trouble", "paper")]
    assert min(contrast(colours[ink], colours[paper]) for ink, paper in pairs) >= 4.5
    assert contrast(colours["c0"], colours["paper"]) >= 3


def contrast(one, other):
    """W3C's relative luminance ratio."""

    def luminance(colour):
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_figures_take_the_colours_of_the_page(drawn):
    svg = to_svg(drawn[0].figure, "f0", 'a "caption" & more')
    assert 'aria-label="a &#34;caption&#34; &amp; more"' in svg
    assert not re.search(r"(fill|stroke): #(000000|ffffff|0072b2)", svg)
    assert "var(--c0)" in svg
    assert "<text" not in svg


# optional parts


def test_each_optional_part_is_a_table_in_all_three_forms(rich):
    found = sections(rich)
    assert [section.key for section in found] == [
        "by-rate",
        "frontier",
        "profiles",
        "moderators",
        "search",
        "importance",
        "signs",
    ]
    assert all(len(row) == len(section.header) for section in found for row in section.rows)
    page = "".join(page_of(rich)[1].text)
    terminal, markdown = shown(print_verdicts, rich, width=120), to_markdown(rich)
    for section in found:
        assert section.title in page
        assert section.title in terminal
        assert section.title in markdown


def test_a_sweep_has_none_of_the_optional_parts_by_itself(demo):
    assert [section.key for section in sections(demo)] == ["signs"]  # an arm of it diverges


def test_the_conclusion_that_the_learning_rate_changes_is_said(rich):
    (rates,) = [section for section in sections(rich) if section.key == "by-rate"]
    assert rates.lines == ("the conclusion changes with the learning rate at: 8",)
    assert rates.rows[0] == ("8", "-0.20", "+0.70", "0.002", "yes")
    verdict = rich.verdicts[1]
    same = replace(verdict, by_rate=tuple(replace(row, differs=False) for row in verdict.by_rate))
    (line,) = next(iter(by_rate([same]))).lines
    assert line.startswith("the conclusion is the same")


def test_the_winner_of_a_search_comes_with_what_fresh_seeds_said(rich):
    (found,) = [section for section in sections(rich) if section.key == "search"]
    assert found.lines[0].endswith(
        "looked better by +1.40 %; fresh seeds, which did not choose it, say +1.02 %"
    )
    lone = search(replace(rich.search, confirmed_gain=None), rich.scale)
    assert lone.lines[0].endswith("fresh seeds were not asked")


def test_importance_is_listed_from_the_largest(rich):
    (found,) = [section for section in sections(rich) if section.key == "importance"]
    assert found.rows == (("learning_rate", "80 %"), ("lora_rank", "20 %"))


def test_a_factor_with_several_claims_is_named_with_each(rich, demo):
    names = [name for name, _ in titled(rich.verdicts)]
    assert names == ["learning_rate", "lora_rank (enough)", "lora_rank (speed)"]
    assert (
        verdict_line(rich)
        == "learning_rate: inconclusive · lora_rank (enough): confirm · lora_rank (speed): refine"
    )
    assert [name for name, _ in titled(demo.verdicts)] == ["learning_rate", "lora_rank"]
    ((name, _),) = titled([replace(rich.verdicts[1], cell="train_examples=500")])
    assert name == "lora_rank, train_examples=500"


@pytest.mark.parametrize("width", [80, 120])
def test_the_time_is_told_and_fits_the_terminal(rich, width):
    text = shown(print_verdicts, rich, width=width)
    flat = " ".join(text.split())
    enough = rich.verdicts[1]
    gains = {row.estimate.gain: row.level for row in enough.levels}
    nearest = gains[enough.effect_percent]
    assert f"time of {nearest}: x1.80 the default's [1.71, 1.89] on 2-core CPU" in flat
    assert "gain over the default trained for the same time -0.05 %" in flat
    typed = ("    bios-sweep run", "Again: ")  # commands stay on one line
    assert max(len(line) for line in text.splitlines() if not line.startswith(typed)) <= width
    names = {word for point in rich.frontier for word in point.arm.split()}
    assert names <= set(text.split())
    assert ("x1.80 [1.71, 1.89] " in text) is (width == 120)
    row = next(
        line
        for line in to_markdown(rich).splitlines()
        if line.startswith("| lora\\_rank (enough) |") or line.startswith("| lora_rank (enough) |")
    )
    assert row.endswith("| x1.80 \\[1.71, 1.89\\] |")


def test_ratios_are_written_with_three_digits():
    assert [times(value) for value in (None, 0.714, 1.0, 12.34, 250.0)] == [
        "—",
        "x0.71",
        "x1.00",
        "x12.3",
        "x250",
    ]


# figures of the optional parts


def test_the_frontier_is_drawn_where_times_are_known(rich, drawn):
    assert "frontier" in [each.name for each in drawn]
    blind = replace(rich, frontier=(), curves={})
    assert "frontier" not in [each.name for each in figures_of(blind)]


def test_the_frontier_joins_the_efficient_arms_and_names_the_goals(rich):
    (panel,) = draw_frontier(rich).axes
    joined = next(line for line in panel.lines if line.get_linestyle() == "--")
    assert list(joined.get_xdata()) == [0.5, 1.0, 2.0, 2.5, 3.0, 3.5]
    assert panel.get_xscale() == "log"
    assert goals_of(rich) == {"lora_rank=8": ["speed"], "lora_rank=128": ["quality"]}
    texts = [text.get_text() for text in panel.texts]
    assert "lora_rank=128 (quality)" in texts


def test_labels_of_the_frontier_do_not_lie_on_each_other(rich):
    points = tuple(
        replace(
            point,
            gain=0.02 * place,
            cost_ratio=(ratio := 1 + 0.01 * place),
            cost_lower=ratio,
            cost_upper=ratio,
        )
        for place, point in enumerate(rich.frontier)
    )
    figure = draw_frontier(replace(rich, frontier=points))
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # without its line to the point
    crossings = [(a, b) for a in range(len(boxes)) for b in range(a) if boxes[a].overlaps(boxes[b])]
    assert crossings == []


def test_several_claims_about_a_factor_draw_its_variations_once(rich, demo):
    names = [[row.name for row in group] for group in effect_groups(rich.verdicts)]
    assert names == [[row.name for row in group] for group in effect_groups(demo.verdicts)]


def test_the_bracket_is_a_band_over_its_levels(drawn):
    response = next(each for each in drawn if each.name == "response_learning_rate")
    labels = [text.get_text() for text in response.figure.legends[0].get_texts()]
    assert "bracket: 0.0018 to 0.0036" in labels


def test_means_of_a_response_are_over_the_seeds_that_all_arms_have():
    def arm(name, finals):
        return ArmRow(
            arm=name,
            factor=None,
            level=None,
            label="",
            changes={},
            settings={},
            examples=1,
            notes=(),
            finals={"screening": finals},
            mean=1.0,
            statuses={"completed": len(finals)},
            trial_keys=(),
        )

    baseline = arm("baseline", {"0": 1.0, "1": 2.0, "2": 9.0})
    means, seeds = shared_means([baseline, arm("a", {"0": 3.0, "1": 5.0})])
    assert seeds == ["0", "1"]
    assert means == {"baseline": 1.5, "a": 4.0}


def with_finals(summary, finals):
    """The summary with other finals of one arm, and that arm."""
    arm = next(arm for arm in summary.arms if arm.arm == "lora_rank=8")
    other = replace(arm, finals={"screening": finals(arm.finals["screening"])})
    arms = tuple(other if one is arm else one for one in summary.arms)
    return replace(summary, arms=arms), other, arm


def test_curves_are_paired_by_seed_also_where_an_arm_stopped_early(demo):
    early, other, arm = with_finals(demo, lambda finals: {seed: finals[seed] for seed in ("1", "2")})
    early = replace(early, curves={**demo.curves, arm.arm: demo.curves[arm.arm][1:]})
    assert paired_gains(early, other) == paired_gains(demo, arm)[1:]


def test_curves_whose_seeds_nobody_knows_are_not_paired(demo):
    lost, other, _ = with_finals(demo, lambda finals: {"0": -1.0})
    assert paired_gains(lost, other) == []


def test_each_cell_of_a_crossed_study_has_its_own_response(tmp_path):
    study = replace(
        planted_study(factors=(Factor(name="lora_rank", values=(8, 128), claims=("optimum",)),)),
        cross=(Cross(setting="train_examples", values=(500, 2000)),),
    )
    summary = summary_of(study, tmp_path / "trials")
    families = families_of(summary)
    assert [family.cell for family in families] == ["train_examples=500", "train_examples=2000"]
    for family, examples in zip(families, (500, 2000), strict=True):
        own = (family.baseline, *family.arms)
        assert {arm.settings["train_examples"] for arm in own} == {examples}
        assert len(own) == 3
    names = [path.name for path in save_figures(figures_of(summary), tmp_path / "figures")]
    assert "response_lora_rank_train_examples_2000.png" in names


def test_other_learning_rates_are_lines_that_pass_the_default_level(tmp_path):
    factor = Factor(name="batch_size", multiply=(0.5, 2), nuisance=Nuisance(multiply=(0.5, 1, 2)))
    truth = {"learning_rate": {"optimum": 0.0073, "curvature": 0.35}}
    summary = summary_of(planted_study(factors=(factor,)), tmp_path, wall=None, truth=truth)
    family = next(family for family in families_of(summary) if family.factor == "batch_size")
    (panel,) = draw_response(summary, family).axes
    lines = {line.get_label(): list(line.get_xdata()) for line in panel.lines}
    assert lines["learning rate x0.5"] == lines["learning rate x2"] == [16, 32, 64]
    assert lines["mean of 3 seeds (small: each)"] == [16, 32, 64]


def test_a_figure_of_effects_keeps_the_best_of_many_and_says_so(demo):
    first, second = demo.verdicts
    row = second.levels[0]
    levels = tuple(replace(row, arm=f"a{i}", estimate=gaining(float(i))) for i in range(60))
    (panel,) = draw_effects(replace(demo, verdicts=(first, replace(second, levels=levels)))).axes
    names = [tick.get_text() for tick in panel.get_yticklabels()]
    assert len(names) == 40
    assert {"a59", "a24"} <= set(names)
    assert panel.get_title(loc="left").endswith("24 weaker ones left out")


def gaining(gain):
    return Estimate(gain=gain, lower=None, upper=None, standard_error=0.1, pooled=True)


def test_a_moderator_is_one_table_with_a_sentence_per_variation(rich):
    (one,) = rich.moderators
    other = replace(one, variation="lora_rank=128", sentence="and so does another")
    (found,) = moderators([one, other])
    assert found.lines == ("the best rank grows with the data", "and so does another")
    assert found.header == ("variation", "cell", "gain, %")
    assert [row[0] for row in found.rows] == ["lora_rank=8", "lora_rank=128"]


def test_a_roll_up_tells_shares_and_means():
    row = RollUpRow(
        factor="lora_rank",
        within=37,
        scenarios=42,
        lower=0.75,
        upper=0.96,
        mean=0.1,
        mean_lower=None,
        mean_upper=None,
        sentence="",
    )
    assert roll_up([row]).rows == (("lora_rank", "37 of 42", "75 % to 96 %", "+0.10"),)
