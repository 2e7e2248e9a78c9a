"""``fastfcn predict --dry-run``: what labelling the pictures would take; nothing is written."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.inputs import Job
from fastfcn_infer.errors import BackendMissing, ImageError

if TYPE_CHECKING:
    from fastfcn_infer.inference.forecast import Plan

_MOST = 6  # plans, and failures of a kind, that are shown in full


Kind: TypeAlias = (
    Path | tuple[int, int]
)  # a raster has a plan of its own, pictures of a size share one


@dataclass
class Forecasts:
    """Plans of pictures.

    Args:
        kind: tells by what a picture is planned: its size, or its path if it is a raster.
        plan: makes the plan of a kind.
    """

    kind: Callable[[Path], Kind]
    plan: "Callable[[Kind], Plan]"
    plans: "dict[Kind, Plan]" = field(default_factory=dict)
    sources: dict[Kind, list[str]] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, job: Job) -> None:
        """Plan a picture, unless one of its kind was planned already."""
        try:
            kind = self.kind(job.source)
            if kind not in self.plans:
                self.plans[kind] = self.plan(kind)
        except (ImageError, BackendMissing) as error:
            self.failed.append((job.shown, job.told(error)))
        else:
            self.sources.setdefault(kind, []).append(job.shown)

    def report(self, *, as_json: bool) -> int:
        """Print the plans, the most frequent first; returns the exit code."""
        found = sorted(self.plans, key=lambda kind: -len(self.sources[kind]))
        if as_json:
            print(json.dumps(self._data(found), indent=2, ensure_ascii=False))
        else:
            self._print(found)
        return exit_codes.SOME_FAILED if self.failed else exit_codes.FINE

    def _data(self, found: Sequence[Kind]) -> dict[str, object]:
        return {
            "plans": [{**self.plans[k].to_data(), "sources": self.sources[k]} for k in found],
            "failed": [{"source": source, "error": error} for source, error in self.failed],
            "pictures": sum(map(len, self.sources.values())),
            "seconds": self._seconds(found),
            "memory": max((self.plans[kind].memory for kind in found), default=0),
        }

    def _print(self, found: Sequence[Kind]) -> None:
        from fastfcn_infer.inference.forecast import amount, duration

        for kind in found[:_MOST]:
            sources = self.sources[kind]
            more = f" and {len(sources) - 1} more of this size" if len(sources) > 1 else ""
            print(f"{sources[0]}{more}\n{self.plans[kind]}\n")
        if len(found) > _MOST:
            rest = sum(len(self.sources[kind]) for kind in found[_MOST:])
            print(
                f"... and {len(found) - _MOST} more sizes, of {rest} pictures (--json lists them)\n"
            )
        if found:
            count = sum(map(len, self.sources.values()))
            print(
                f"{count} picture{'s' if count > 1 else ''}: {duration(self._seconds(found))} for "
                f"the network, {amount(max(self.plans[kind].memory for kind in found))} at most; "
                "nothing was labelled or written"
            )
        for source, error in self.failed[:_MOST]:
            print(f"cannot be planned: {source}: {error}", file=sys.stderr)
        if len(self.failed) > _MOST:
            print(
                f"... and {len(self.failed) - _MOST} more cannot be planned (--json lists them)",
                file=sys.stderr,
            )

    def _seconds(self, found: Sequence[Kind]) -> float:
        return sum(self.plans[kind].seconds * len(self.sources[kind]) for kind in found)
