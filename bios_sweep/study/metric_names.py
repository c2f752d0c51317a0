"""Which way a metric is better, as its name says: the one table for run, plan, guardrails and audits.

A name is read in whole words as people write them (`eval/rougeL`, `valAccuracy`, `mAP50`, `pass@1`). What
it does not say is not guessed: a name without a known word, with words of both kinds (`accuracy_loss`) or
with one that turns or hides the meaning (`loss_std`, `accuracy_drop`) says nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

MINIMIZE, MAXIMIZE = DIRECTIONS = ("minimize", "maximize")
WEAK, HIDDEN = "weak", "hidden"  # a word that counts where no other does; one that makes a name say nothing
BETTER = {MINIMIZE: "smaller is better", MAXIMIZE: "larger is better"}
ASKED = " or ".join(f"{{key}}{way} ({BETTER[way]})" for way in (MAXIMIZE, MINIMIZE))

# fmt: off
LOSSES = frozenset({  # and likelihoods
    "loss", "losses", "logloss", "nll", "nlpd", "perplexity", "perplexities", "ppl", "surprisal", "ce",
    "bce", "crossentropy", "xent", "deviance", "bits", "nats", "bpb", "bpc", "bpw", "bpt", "kl", "kld",
    "divergence", "crps",
})
FALLS = LOSSES | frozenset({
    # errors
    "error", "errors", "err", "errs", "errorrate", "mse", "mae", "rmse", "nmse", "nrmse", "nmae", "msle",
    "rmsle", "mape", "smape", "wmape", "mase", "mdape", "medae", "rmspe", "brier", "ece", "mce", "regret",
    "mismatch", "mismatches", "misclassification", "misclassified", "incorrect", "wrong", "inaccuracy",
    "distance", "fpr", "fnr", "fdr", "eer", "failure", "failures", "violation", "violations",
    # speech, translation, pictures
    "wer", "cer", "ter", "mer", "wil", "der", "fid", "kid", "fvd", "fad", "lpips",
    # what is spent or spoilt
    "memory", "seconds", "time", "runtime", "latency", "duration", "cost", "forgetting", "toxicity",
    "hallucination", "hallucinations",
})
RISES = frozenset({
    "acc", "accuracy", "accuracies", "correct", "correctness", "em", "exact", "exactmatch", "match",
    "matches", "precision", "prec", "recall", "sensitivity", "specificity", "f1", "f2", "f05", "fbeta",
    "fscore", "fmeasure", "tpr", "tnr", "ppv", "npv", "auc", "auroc", "auprc", "aucpr", "rocauc", "roc", "ap",
    "map", "mrr", "ndcg", "dcg", "hit", "hits", "mcc", "matthews", "kappa", "r2", "rsquared", "pearson",
    "pearsonr", "spearman", "spearmanr", "kendall", "kendalltau", "correlation", "corrcoef", "concordance",
    "cindex", "iou", "miou", "jaccard", "dice", "similarity", "nmi", "ari", "silhouette", "bleu",
    "sacrebleu", "chrf", "meteor", "cider", "bertscore", "bleurt", "comet", "psnr", "ssim", "pesq", "stoi",
    "mos", "win", "wins", "winrate", "elo", "pass", "passed", "solved", "resolved", "success", "likelihood",
    "loglikelihood", "loglik", "logprob", "logprobs", "logp", "logps", "ll", "elbo", "elpd", "return",
    "returns", "rew", "throughput", "mfu", "faithfulness", "groundedness", "helpfulness", "harmlessness",
    "truthfulness",
})
# larger is better, unless another word of the name says what is told: `mmlu_loss`, `top1_error`, `fid_score`
MILD = frozenset({
    "score", "scores", "mc1", "mc2", "mmlu", "mmlupro", "cmmlu", "ceval", "agieval", "bbh", "bigbench",
    "gsm", "gsm8k", "mgsm", "math", "aime", "amc", "svamp", "asdiv", "mathqa", "gpqa", "hle", "humaneval",
    "mbpp", "livecodebench", "lcb", "bigcodebench", "swebench", "ds1000", "arc", "hellaswag", "winogrande",
    "piqa", "siqa", "boolq", "copa", "openbookqa", "obqa", "csqa", "commonsenseqa", "sciq", "race",
    "triviaqa", "nq", "naturalquestions", "squad", "hotpotqa", "simpleqa", "truthfulqa", "ifeval",
    "mtbench", "alpacaeval", "arenahard", "musr", "lambada", "logiqa", "glue", "superglue", "cola", "sst2",
    "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli", "wic", "wsc", "multirc", "anli", "xnli", "xcopa",
    "storycloze", "xstorycloze", "medqa", "medmcqa", "pubmedqa", "mmmu", "mathvista", "docvqa", "chartqa",
    "textvqa", "vqa", "gqa", "scienceqa", "longbench", "ruler", "bfcl", "livebench", "imagenet",
})
# several words that mean something together
PHRASES = {
    ("false", "positive"): MINIMIZE, ("false", "positives"): MINIMIZE, ("false", "negative"): MINIMIZE,
    ("false", "negatives"): MINIMIZE, ("false", "alarm"): MINIMIZE, ("cross", "entropy"): MINIMIZE,
    ("true", "positive"): MAXIMIZE, ("true", "positives"): MAXIMIZE, ("true", "negative"): MAXIMIZE,
    ("true", "negatives"): MAXIMIZE, ("negative", "predictive", "value"): MAXIMIZE,
    ("positive", "predictive", "value"): MAXIMIZE, ("explained", "variance"): MAXIMIZE,
    ("reciprocal", "rank"): MAXIMIZE, ("f", "1"): MAXIMIZE, ("f", "beta"): MAXIMIZE,
    ("f", "measure"): MAXIMIZE, ("f", "score"): MAXIMIZE, ("r", "squared"): MAXIMIZE, ("r", "sq"): MAXIMIZE,
    ("c", "index"): MAXIMIZE, ("cumulative", "gain"): MAXIMIZE, ("log", "prob"): MAXIMIZE,
    ("log", "probs"): MAXIMIZE, ("log", "probability"): MAXIMIZE, ("log", "p"): MAXIMIZE,
    ("per", "second"): MAXIMIZE, ("per", "sec"): MAXIMIZE, ("top", "1"): WEAK, ("top", "5"): WEAK,
    ("top", "k"): WEAK, ("self", "bleu"): HIDDEN, ("error", "detection"): HIDDEN,
    ("failure", "recovery"): HIDDEN,
}
# a part, a change or a spread of a metric, or its opposite: which way that is better is another question
HIDES = frozenset({
    "std", "stdev", "stddev", "stderr", "sem", "var", "variance", "ci", "delta", "diff", "difference",
    "change", "drop", "gap", "improvement", "reduction", "increase", "decrease", "degradation", "gain",
    "scale", "weight", "coef", "threshold", "target", "rejected", "not", "non", "no", "minus", "inverse",
    "inv", "reciprocal", "free", "saved", "saving", "savings", "avoided", "avoidance",
    # more of it may be worse, whatever the word beside it says: `bias_score`, `attack_success_rate`
    "bias", "biased", "harm", "harms", "harmful", "harmfulness", "risk", "stereotype", "stereotypes",
    "refusal", "refusals", "attack", "attacks", "jailbreak", "jailbreaks", "sycophancy", "memorization",
    "memorisation", "leakage", "repetition", "deception",
})
# a share of something, between 0 and 1 or 0 and 100: its margin is told in points
SHARES = MILD - {"score", "scores", "mtbench", "alpacaeval", "livebench"} | frozenset({
    "acc", "accuracy", "accuracies", "correct", "correctness", "em", "exact", "exactmatch", "match",
    "matches", "precision", "prec", "recall", "sensitivity", "specificity", "f1", "f2", "f05", "fbeta",
    "fscore", "fmeasure", "tpr", "tnr", "ppv", "npv", "auc", "auroc", "auprc", "aucpr", "rocauc", "roc", "ap",
    "map", "mrr", "ndcg", "hit", "hits", "iou", "miou", "jaccard", "dice", "bleu", "sacrebleu", "chrf",
    "meteor", "bertscore", "win", "winrate", "pass", "passed", "solved", "resolved", "success", "rouge",
})
# it may be 0 or less, so that no percent of it means anything
SIGNED = frozenset({
    "reward", "rew", "return", "returns", "r2", "rsquared", "mcc", "matthews", "kappa", "pearson",
    "pearsonr", "spearman", "spearmanr", "kendall", "kendalltau", "correlation", "corrcoef", "concordance",
    "likelihood", "loglikelihood", "loglik", "logprob", "logprobs", "logp", "logps", "ll", "elbo", "elpd",
    "silhouette", "ari", "explained",
})
# fmt: on
OF_RIGHT_ANSWERS = frozenset({"acc", "accuracy", "accuracies", "exact", "exactmatch", "em"})
NEGATES = frozenset({"neg", "negative"})  # `neg_mean_squared_error`, `negative_log_likelihood`
LIKELY = frozenset({"likelihood", "loglikelihood", "loglik"})
CUTOFF = re.compile(r"(?:p|r|maj|cons|best|avg)@\w", re.I)  # P@1, R@5, maj@8: the letter alone says nothing
OPPOSITE = re.compile(  # 1-accuracy, 100 - wer, -loss
    r"(?:^|[\s/(])(?:1|100|one)\s*[-\u2212\u2013]\s*(?!shot)[a-z]|^\s*[-\u2212\u2013]\s*[a-z]", re.I
)
PIECES = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+")  # of camelCase
SPLITS = re.compile(r"^(?:evaluation|eval|validation|valid|val|test|dev|train|macro|micro|weighted)")
AVERAGES = re.compile(r"(?:macro|micro)$")


def direction_of(name: str) -> str | None:
    """`maximize` or `minimize` by the whole words of a name; None where it says neither, or both."""
    name = unicodedata.normalize("NFKC", name)  # a raised 2 becomes a 2
    if OPPOSITE.search(name):
        return None
    words = list(_words(name))
    said = [MAXIMIZE] * (bool(CUTOFF.search(name)) or "r^2" in name.casefold())
    while words:
        length, found = _next(words)
        if found == HIDDEN:
            return None
        said += [found] if found else []
        words = words[length:]
    strong = {one for one in said if one != WEAK}
    if len(strong) > 1:
        return None
    return strong.pop() if strong else (MAXIMIZE if said else None)


def is_accuracy(name: str) -> bool:
    """Whether a name says that it is a share of right answers (`valAccuracy`, `acc,none`, `exact_match`)."""
    return direction_of(name) == MAXIMIZE and not OF_RIGHT_ANSWERS.isdisjoint(_words(name))


def is_share(name: str) -> bool:
    """Whether a name says that it is a share, told in points (`f1`, `pass@1`, `mmlu`)."""
    return direction_of(name) == MAXIMIZE and (
        bool(CUTOFF.search(name)) or any(_is_of(word, SHARES) for word in _words(name))
    )


def is_never_a_share(name: str) -> bool:
    """Whether a name says that it is a loss, or may be 0 or less, so that there are no points of it."""
    return is_signed(name) or not LOSSES.isdisjoint(_words(name))


def is_signed(name: str) -> bool:
    """Whether a name says that it may be 0 or less, so that a percent of it means nothing (`eval_reward`)."""
    if is_share(name) or direction_of(name) == MINIMIZE:
        return False
    return any(_is_of(word, SIGNED) for word in _words(name)) or "r^2" in name.casefold()


def ask_for(name: str, key: str) -> str:
    """The sentence that asks which way is better. key: how an answer begins, such as `--direction `."""
    return f"the name {name!r} does not say which way is better; give {ASKED.format(key=key)}"


def _is_of(word: str, table: frozenset[str]) -> bool:
    return word in table or any(word.startswith(one) and one in table for one in ("rouge", "reward"))


def _next(words: Sequence[str]) -> tuple[int, str]:
    """How many words belong together, and what they say: a direction, `WEAK`, `HIDDEN` or nothing."""
    for phrase, way in PHRASES.items():
        if tuple(words[: len(phrase)]) == phrase:
            return len(phrase), way
    if words[0] in NEGATES:
        return _negated(words[1:])
    if words[0] in HIDES:
        return 1, HIDDEN
    return 1, _said(words[0])


def _negated(rest: Sequence[str]) -> tuple[int, str]:
    """`neg_log_loss` rises. `neg_accuracy` and `negative_loss` may be those of negatives, and say nothing."""
    turned = {MINIMIZE: MAXIMIZE, MAXIMIZE: MINIMIZE}
    for place in range(len(rest)):
        length, found = _next(rest[place:])
        if found in turned:
            of_negatives = found == MAXIMIZE or rest[0] in ("loss", "losses", "error", "errors")
            doubtful = place == 0 and length == 1 and of_negatives and rest[0] not in LIKELY
            return 1 + place + length, HIDDEN if doubtful else turned[found]
    return 1, HIDDEN


def _said(word: str) -> str:
    if word in FALLS or word.startswith("error"):
        return MINIMIZE
    if word in RISES or word.startswith(("rouge", "reward")):
        return MAXIMIZE
    return WEAK if word in MILD or re.fullmatch(r"top\d+", word) else ""


def _words(name: str) -> Iterator[str]:
    """Whole words in small letters; a word that is known as it stands is not taken apart (`rougeLsum`)."""
    for part in _joined(re.split(r"[\W_]+", name)):
        whole = _known(part.casefold())
        if whole or not part:
            yield from [whole] if whole else []
        else:
            yield from (_known(piece.casefold()) or piece.casefold() for piece in PIECES.findall(part))


def _joined(parts: Sequence[str]) -> Iterator[str]:
    """The parts of a name, those put together that are one benchmark: `human_eval`, `live_code_bench`."""
    place = 0
    while place < len(parts):
        together = (length for length in (3, 2) if "".join(parts[place : place + length]).casefold() in MILD)
        length = next(together, 1)
        yield "".join(parts[place : place + length])
        place += length


def _known(word: str) -> str:
    """The table's spelling of a word: without a number behind it (`map50`), or its split (`valloss`)."""
    spellings = (word, word.rstrip("0123456789"), SPLITS.sub("", word), AVERAGES.sub("", word))
    return next((one for one in spellings if one in NEGATES | HIDES or _said(one)), "")
