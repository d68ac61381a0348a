"""The report: one HTML file that needs nothing but itself, and the same numbers as JSON."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2

from model.files import write_atomically
from pipelines.evaluation.panel import lower_is_better
from pipelines.evaluation.record import Record
from pipelines.evaluation.report import contents
from pipelines.evaluation.report.findings import findings_of
from pipelines.evaluation.report.palette import arm_variables
from pipelines.evaluation.results import RunInfo, merge_json
from pipelines.evaluation.summary import Evaluation, evaluation_of, summary_of
from pipelines.evaluation.wording import duration, metric_name

SUMMARY_NAME: Final = "run.json"

_HERE: Final = Path(__file__).parent
_BLANK: Final = re.compile(r"\n\s*\n+")


def write_report(records: Sequence[Record], run: RunInfo, path: Path) -> dict[str, Any]:
    """Writes the report of one stream, and its numbers into `run.json` beside it.

    `run.json` holds an entry for each stream; those of other streams stay.

    Args:
      records: Arms and seeds of one stream.
      run: How they were made.
      path: Of the HTML file.

    Returns:
      The stream's entry in `run.json`, as `terminal_table` and `record_results` take it.

    Raises:
      BadInputError: If the records are not of one stream or were asked different questions.
    """
    evaluation = evaluation_of(records, run)
    summary = summary_of(evaluation)
    write_atomically(path, html_of(evaluation, summary).encode())
    merge_json(path.with_name(SUMMARY_NAME), summary["protocol"], summary)
    return summary


def html_of(evaluation: Evaluation, summary: Mapping[str, Any]) -> str:
    """The page; the same text for the same numbers."""
    # Matplotlib costs half a second, which only a report pays
    from pipelines.evaluation.report.gallery import plates_of

    primary = evaluation.panel.primary
    return render(
        "report.html.j2",
        evaluation.order,
        summary=summary,
        facts=contents.facts(evaluation, summary),
        findings=[contents.sentence(each, evaluation.order) for each in findings_of(evaluation)],
        table=contents.main_table(evaluation, summary),
        outcome_table=contents.outcome_table(evaluation),
        plates=plates_of(evaluation),
        primary=metric_name(primary),
        better="lower is better" if lower_is_better(primary) else "higher is better",
        slices=[contents.slice_table(each, evaluation.order) for each in evaluation.slices],
        ablations=contents.ablations(evaluation),
        settings=contents.settings(summary),
        beside=contents.beside(evaluation),
    )


def render(template: str, arms: Sequence[str], **values: Any) -> str:
    """A page made from one of this folder's templates, with a colour for each arm."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template(template).render(
        light=arm_variables(arms, dark=False),
        dark=arm_variables(arms, dark=True),
        arm_number={arm: place for place, arm in enumerate(arms)},
        duration=duration,
        **values,
    )
    return _BLANK.sub("\n", page)
