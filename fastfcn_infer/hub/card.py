"""The model card of an artifact, made of what was measured, for the Hugging Face Hub.

The card is Markdown that begins with metadata in YAML. Source of the metadata's keys: the Hub's model
card specification (``model-index`` and its results).
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.hub.card_facts import CardFacts, Score, Speed
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.percent import percent

NAME = "README.md"

_SHOWN_CLASSES = 200
_LONGEST = 2000  # characters of a sentence
_LEAST = 1e-4  # of a score; Python writes smaller numbers as 1e-05, which readers of YAML 1.1 take as text


def write_card(artifact: Artifact, facts: CardFacts, repository: str | None = None) -> str:
    """Write the model card.

    Args:
        artifact: what it describes.
        facts: what was measured; see `card_facts.check_measured`.
        repository: ``OWNER/NAME[@REVISION]`` on the Hub, which the example opens; None: a folder.

    Returns:
        Markdown, with metadata that `huggingface_hub.ModelCard` reads.
    """
    model = artifact.model
    if artifact.manifest is not None:  # opened in any precision, it is published whole
        model = replace(model, precision=artifact.manifest.model.precision)
    parts = [
        f"# {_text(model.name)}",
        _about(model),
        _use("path/to/this/folder" if repository is None else f"hub:{repository}"),
        "## Classes\n\n" + _classes(model),
        "## Scores\n\n" + _scores(facts.scores),
        "## Speed\n\n" + _speeds(facts.speeds),
        "## Training data\n\n" + _trained(model),
        "## Verification\n\n" + "\n\n".join([_verified(artifact), *_variants(artifact)]),
        "## Limits\n\n" + _limits(model, facts),
        "## Licence\n\n" + (facts.licence or "Not stated: ask who published this model."),
    ]
    return _metadata(model, facts) + "\n" + "\n\n".join(parts) + "\n"


def _metadata(model: Model, facts: CardFacts) -> str:
    """Write the metadata; a value in JSON is one in YAML, too, except numbers such as 1e-05."""
    name = printable(model.name)
    values: dict[str, Any] = {} if facts.licence is None else {"license": facts.licence}
    values |= {
        "library_name": "fastfcn-infer",
        "pipeline_tag": "image-segmentation",
        "tags": ["semantic-segmentation", "fastfcn", "onnx"],
    }
    results = [_result(score) for score in facts.scores if score.mean_iou is not None]
    if results:
        values["model-index"] = [{"name": name, "results": results}]
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---", ""])


def _result(score: Score) -> dict[str, Any]:
    settings = {
        "procedure": score.kind,
        "precision": score.precision,
        "convention": score.convention,
        "pictures": score.pictures,
    }
    if score.settings:
        settings["procedure_settings"] = score.settings
    metrics = {"mean_iou": score.mean_iou, "pixel_accuracy": score.pixel_accuracy}
    return {
        "task": {"type": "image-segmentation", "name": "Semantic segmentation"},
        "dataset": {
            "type": printable(score.dataset),
            "name": printable(score.dataset),
            "split": printable(score.split),
        },
        "metrics": [
            {
                "type": kind,
                "name": f"{kind.replace('_', ' ')}, {settings['procedure']}, {score.precision}",
                "value": value if value >= _LEAST else round(value, 4),
                "args": settings,
            }
            for kind, value in metrics.items()
            if value is not None
        ],
    }


def _about(model: Model) -> str:
    network = model.network
    jpu = "no JPU" if network.jpu is None else f"JPU {network.jpu}"
    return (
        f"Semantic segmentation into {len(model.classes)} classes with FastFCN: backbone {network.backbone}, "
        f"{jpu}, head {network.head}; {network.parameters:,} parameters, "
        f"{network.multiply_adds / 1e9:.2f} G multiply-adds for a picture of 480 x 480. The graph is in "
        f"{model.precision}; the checkpoint was of the dialect {network.dialect}. By default a picture is "
        f"labelled by the procedure `{model.procedure.kind}`."
    )


def _use(name: str) -> str:
    return (
        "```python\n"
        "from fastfcn_infer import Segmenter\n\n"
        f'result = Segmenter.from_pretrained("{name}").predict("street.jpg")\n'
        "print(result.areas())\n"
        'result.save("street.png")\n'
        "```"
    )


def _classes(model: Model) -> str:
    rows = [
        (str(label), _cell(each.name), f"#{''.join(f'{value:02x}' for value in each.color)}")
        for label, each in enumerate(model.classes[:_SHOWN_CLASSES])
    ]
    hidden = len(model.classes) - len(rows)
    more = f"and {hidden} more, in `manifest.json`." if hidden else ""
    return _table("label, class, colour", rows, more)


def _scores(scores: Sequence[Score]) -> str:
    rows = [
        (
            *(_cell(score.dataset), _cell(score.split), str(score.pictures)),
            *map(_cell, (score.procedure, score.precision, score.convention)),
            *map(_percent, (score.mean_iou, score.pixel_accuracy)),
        )
        for score in scores
    ]
    head = (
        "data set, part, pictures, procedure, precision, convention, mean IoU %, pixel accuracy %"
    )
    return _table(head, rows, "Measured with `fastfcn evaluate`.") if rows else "Not measured."


def _speeds(speeds: Sequence[Speed]) -> str:
    rows = [
        (
            *map(
                _cell,
                (speed.backend, speed.device, speed.precision, speed.procedure, speed.scenario),
            ),
            *(f"{speed.size[0]} x {speed.size[1]}", str(speed.batch), str(speed.threads)),
            *(
                f"{speed.ips:.2f}",
                ", ".join([*map(_cell, filter(None, (speed.gpu, speed.cpu))), speed.date[:10]]),
            ),
        )
        for speed in speeds
    ]
    head = "runtime, device, precision, procedure, scenario, size, batch, threads, pictures a second, machine"
    return _table(head, rows, "Measured with `fastfcn benchmark`.") if rows else "Not measured."


def _table(head: str, rows: Sequence[Sequence[str]], below: str) -> str:
    """Write a table in Markdown, and a sentence below it.

    Args:
        head: names of the columns, separated by commas.
        rows: a text for each column.
        below: the sentence; empty: none.
    """
    names = head.split(", ")
    lines = ["| " + " | ".join(row) + " |" for row in (names, ["---"] * len(names), *rows)]
    return "\n".join([*lines, "", below] if below else lines)


def _trained(model: Model) -> str:
    if not model.trained_on:
        return "Not recorded."
    return "\n".join(
        f"- {_text(each.dataset)}: {', '.join(map(_text, each.parts))}"
        + (f" ({each.pictures} pictures)" if each.pictures else "")
        for each in model.trained_on
    )


def _verified(artifact: Artifact) -> str:
    found = None if artifact.manifest is None else artifact.manifest.verification
    if found is None:
        return "The graph was not compared with the network that it came from."
    return (
        f"The graph was compared with {_text(found.reference)}: worst difference of the logits "
        f"{found.worst_difference:.2g} of the largest ({found.allowed_difference:.2g} allowed), "
        f"{percent(found.label_agreement)} % of the labels equal. `fastfcn verify` repeats the self-test."
    )


def _variants(artifact: Artifact) -> list[str]:
    """Say what is known of the graphs in other precisions, a paragraph for each."""
    found = {} if artifact.manifest is None else artifact.manifest.variants
    texts = []
    for precision, variant in found.items():
        agreed, task = variant.agreement, variant.task
        text = (
            f'`{variant.file}` is the graph in {precision} (`precision="{precision}"`). On {agreed.pictures} '
            f"pictures ({_text(agreed.source)}) {percent(agreed.overall, 2)} % of its labels are those of the "
            f"graph above"
        )
        if agreed.interior is not None:
            text += f", and {percent(agreed.interior, 2)} % more than {agreed.margin} pixels away from boundaries"
        if task is not None:
            text += (
                f"; mean IoU on {task.pictures} pictures ({_text(task.dataset)}) {_percent(task.mean_iou)} %, "
                f"and in fp32 {_percent(task.mean_iou_fp32)} %"
            )
        texts.append(f"{text}. Measured in {_text(variant.runtime)}.")
    return texts


def _limits(model: Model, facts: CardFacts) -> str:
    # The user's own sentences may be Markdown.
    lines = [printable(" ".join(limit.split()), _LONGEST) for limit in facts.limits]
    lines += [_text(warning) for score in facts.scores for warning in score.warnings]
    lines += [
        f"{len(score.failed)} of the pictures of {_text(score.dataset)}, part {_text(score.split)}, could not be "
        "labelled and are not in its scores."
        for score in facts.scores
        if score.failed
    ]
    lines += map(_text, model.notes)
    lines += [
        f"Assumed, as the checkpoint does not say: {_text(each)}" for each in model.network.assumed
    ]
    if not facts.scores:
        lines.append("Nothing is known here of its scores on pictures.")
    else:
        sets = ", ".join(dict.fromkeys(_text(score.dataset) for score in facts.scores))
        lines.append(f"Its scores are of {sets}; on other pictures they were not measured.")
    return "\n".join(f"- {line}" for line in dict.fromkeys(lines))


def _text(text: str) -> str:
    """Write a text in Markdown so that no markup in it takes effect as HTML."""
    return printable(text, _LONGEST).replace("&", "&amp;").replace("<", "&lt;")


def _cell(text: str) -> str:
    return _text(printable(text)).replace("|", "\\|")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
