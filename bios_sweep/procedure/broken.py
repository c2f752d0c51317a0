"""When a sweep is broken: what fails is no arm's own fault, and to go on would only fail more. Pure."""

from __future__ import annotations

from bios_sweep.procedure.state import Results
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Failure

# Another arm may fit into memory, be done in time, or find a worker that lives; it runs the same code on the
# same data, though.
SHARED_FAULTS = frozenset({Failure.CODE, Failure.DATA, Failure.NO_METRIC})
ENOUGH = 2  # failures; one may be an accident. Chosen, not measured


def broken_by(plan: Plan, results: Results) -> TrialResult | None:
    """The baseline's failure that ends a sweep; None while there is hope.

    There is hope as soon as any trial has an outcome, reused ones included: then it is an arm that fails.
    Without one, two faults of the code or the data are enough (one where there is one seed), the baseline's
    among them: nothing can be compared with a baseline that fails. Asked again whenever a trial ends, so
    that one which ran meanwhile may still prove the opposite.
    """
    if any(result.finished for result in results.values()):
        return None
    faults = [result for result in results.values() if result.failure in SHARED_FAULTS]
    if len(faults) < min(ENOUGH, len(plan.study.seeds)):
        return None
    baseline = {trial.key for trial in plan.trials if trial.arm == plan.baseline.name}
    return next((result for result in faults if result.key in baseline), None)
