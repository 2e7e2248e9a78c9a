"""A result in a notebook: the overlay, and the legend as text that can be selected and read aloud."""

import base64
import html
from collections.abc import Sequence

import numpy as np

from fastfcn_infer.picture.legend import Entry
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.system.opencv import cv2

_SHOWN = 720  # pixels of the longer side


def as_html(overlay: Picture, legend: Sequence[Entry], title: str) -> str:
    """Return an element of HTML.

    Args:
        overlay: without a legend.
        legend: a line for each class.
        title: what the picture is called for those who do not see it.
    """
    scale = min(1.0, _SHOWN / max(overlay.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in overlay.shape[:2])
    small = cv2.resize(overlay.array, (width, height), interpolation=cv2.INTER_AREA)
    data = base64.b64encode(Picture(np.asarray(small, np.uint8)).encode(".jpg")).decode("ascii")
    rows = "".join(map(_row, legend))
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start">'
        f'<img alt="{html.escape(title)}" width="{width}" height="{height}" '
        f'src="data:image/jpeg;base64,{data}">'
        f"<table><thead><tr><th></th><th>class</th><th>area</th></tr></thead><tbody>{rows}</tbody>"
        "</table></div>"
    )


def _row(entry: Entry) -> str:
    swatch = ""
    if entry.color is not None:
        red, green, blue = entry.color
        swatch = (
            f'<span style="display:inline-block;width:1em;height:1em;border:1px solid #888;'
            f'background:#{red:02x}{green:02x}{blue:02x}"></span>'
        )
    name, share = html.escape(entry.name), html.escape(entry.share)
    return f'<tr><td>{swatch}</td><td>{name}</td><td style="text-align:right">{share}</td></tr>'
