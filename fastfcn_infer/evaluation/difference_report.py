"""Write how two models differ: as a table, as data for JSON, and as a page of HTML."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastfcn_infer.evaluation.agreement import NEAR
from fastfcn_infer.evaluation.difference import Difference, PictureDifference
from fastfcn_infer.evaluation.metrics import scores
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.system import html_page
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.percent import percent
from fastfcn_infer.system.text_table import text_table

_WORST = 10  # pictures in the table
_FACTS = ("model", "files", "precision", "backend", "device", "procedure")

Rows = Sequence[Sequence[str]]


def table(found: Difference) -> str:
    """Write the classes, the worst pictures and the summary, as text."""
    parts = [
        *text_table(_classes(found), left=[0]),
        *_left_out(found),
        "",
        "worst pictures first",
        *text_table(_pictures(found, _WORST), left=[0]),
    ]
    return "\n".join([*parts, "", *_sides(found), *_summary(found)])


def to_data(found: Difference) -> dict[str, Any]:
    """Turn the comparison into data for `json.dumps`; a share that does not exist is None."""
    total, means = found.agreement, found.true_mean_ious
    between = scores(found.between, "mmseg")
    truths = None if found.truths is None else [scores(t, "mmseg") for t in found.truths]
    areas = _areas(found)
    return {
        "a": dict(found.provenance[0]),
        "b": dict(found.provenance[1]),
        "agreement": _number(total.overall),
        "agreement_away_from_boundaries": _number(total.away_from_boundaries),
        "near_pixels": NEAR,
        "mean_iou_between": _number(found.mean_iou),
        "mean_iou": None if means is None else {"a": _number(means[0]), "b": _number(means[1])},
        "mean_iou_classes": None if means is None else len(found.true_classes),
        "classes": [
            {
                "label": label,
                "name": name,
                "pixels": {"a": areas[0][label], "b": areas[1][label]},
                "iou_between": _number(between.iou[label]),
                "iou": None
                if truths is None
                else {side: _number(t.iou[label]) for side, t in zip("ab", truths, strict=True)},
            }
            for label, name in enumerate(found.names)
        ],
        "pictures": [
            {
                "name": picture.name,
                "pixels": picture.agreement.pixels,
                "agreement": _number(picture.agreement.overall),
                "agreement_away_from_boundaries": _number(picture.agreement.away_from_boundaries),
            }
            for picture in found.worst
        ],
        "failed": [{"name": name, "error": why} for name, why in found.failed.items()],
        "notes": list(found.notes),
    }


def to_html(found: Difference, sheet: Picture | None) -> str:
    """Write a page that needs no other file.

    Args:
        found: the comparison.
        sheet: the worst pictures side by side; None: none.
    """
    sides = [["", "A", "B"]]
    sides += [[fact, *(_fact(side, fact) for side in found.provenance)] for fact in _FACTS]
    title = "A and B on the same pictures"
    parts = [f"<h1>{title}</h1>", html_page.table(sides, left=(0, 1, 2))]
    parts += [_paragraph(line) for line in _summary(found)]
    if sheet is not None:
        parts += [
            "<h2>Worst pictures</h2>",
            _paragraph("The picture, the overlays of A and of B, and in red where they differ."),
            html_page.picture(sheet.encode(".jpg"), "jpeg", "the worst pictures"),
        ]
    parts += ["<h2>Classes</h2>", html_page.table(_classes(found), left=(0,))]
    parts += map(_paragraph, _left_out(found))
    pictures = _pictures(found, len(found.pictures))
    parts += ["<h2>Pictures, the worst first</h2>", html_page.table(pictures, left=(0,))]
    if found.failed:
        rows = [(printable(name, 60), printable(why, 1000)) for name, why in found.failed.items()]
        parts += ["<h2>Pictures that failed</h2>", html_page.facts(rows)]
    return html_page.page(title, parts) + "\n"


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _sides(found: Difference) -> list[str]:
    """Say what A and B are."""
    return [f"{side}: {_side(facts)}" for side, facts in zip("AB", found.provenance, strict=True)]


def _summary(found: Difference) -> list[str]:
    """Say how far they agree, and what has to be known about it."""
    total, means = found.agreement, found.true_mean_ious
    lines = [
        f"labels agree on {percent(total.overall)} % of {total.pixels} pixels in "
        f"{_counted(len(found.pictures), 'picture', 'pictures')}, "
        f"and on {percent(total.away_from_boundaries)} % of those more than {NEAR} pixels away from boundaries "
        "of A",
        f"mean IoU between them {percent(found.mean_iou)} %, over the classes that A or B has",
    ]
    if means is not None:
        lines.append(
            f"mean IoU on the label maps: A {percent(means[0])} %, B {percent(means[1])} %, "
            f"difference {_points(means[1] - means[0])} points, over the "
            f"{_counted(len(found.true_classes), 'class', 'classes')} of the label maps"
        )
    if found.failed:
        lines.append(f"Pictures that failed and are not counted: {len(found.failed)}")
    return lines + [f"note: {note}" for note in found.notes]


def _side(facts: Mapping[str, str]) -> str:
    words = [f"{fact} {_fact(facts, fact)}" for fact in _FACTS[1:]]
    return ", ".join([_fact(facts, _FACTS[0]), *words])


def _fact(facts: Mapping[str, str], fact: str) -> str:
    """Return what is known of a side; its files by the beginning of their hash, as models may share a name."""
    if fact == "files":
        return facts.get("model_sha256", "-")[:12]
    return printable(facts.get(fact, "-"))


def _classes(found: Difference) -> Rows:
    """Write a row for every class that A, B or the label maps have."""
    between, (first, second) = scores(found.between, "mmseg"), _areas(found)
    head = ["class", "A pixels", "B pixels", "IoU between %"]
    truths = [] if found.truths is None else [scores(t, "mmseg") for t in found.truths]
    rows = [head + (["A IoU %", "B IoU %"] if truths else [])]
    for label in _occurring(found):
        name = found.names[label]
        shares = [between.iou[label], *(truth.iou[label] for truth in truths)]
        counts = [str(first[label]), str(second[label])]
        rows.append([printable(name, 40), *counts, *map(percent, shares)])
    return rows


def _occurring(found: Difference) -> list[int]:
    first, second = _areas(found)
    here = {label for label, areas in enumerate(zip(first, second, strict=True)) if any(areas)}
    return sorted(here.union(found.true_classes))


def _left_out(found: Difference) -> list[str]:
    """Say how many classes have no row."""
    hidden = len(found.names) - len(_occurring(found))
    return [f"not shown: {_counted(hidden, 'class', 'classes')} without a pixel"] if hidden else []


def _pictures(found: Difference, most: int) -> Rows:
    return [
        ["picture", "agreement %", "away from boundaries %"],
        *map(_picture, found.worst[:most]),
    ]


def _picture(picture: PictureDifference) -> list[str]:
    shares = (picture.agreement.overall, picture.agreement.away_from_boundaries)
    return [printable(picture.name, 60), *map(percent, shares)]


def _areas(found: Difference) -> tuple[list[int], list[int]]:
    """Count the pixels of each class: by A, and by B."""
    counts = found.between.counts
    return counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist()


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _points(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:+.2f}"


def _number(share: float) -> float | None:
    return None if math.isnan(share) else share
