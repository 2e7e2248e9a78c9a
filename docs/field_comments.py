"""An extension of Griffe, which reads the code for mkdocstrings: fields are described by their comments."""

import re
from typing import Any

import griffe

_COMMENT = re.compile(r"#\s*(.*\S)")


class FieldComments(griffe.Extension):
    """Takes the comment behind a field, or above it, as its docstring if it has none."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Describe the fields of a class."""
        lines = cls.lines
        for field in cls.attributes.values():
            inside = cls.lineno is not None and field.lineno is not None
            if field.is_alias or field.docstring is not None or not inside:
                continue
            first = (field.lineno or 0) - (cls.lineno or 0)
            above = first
            while above > 0 and lines[above - 1].strip().startswith("#"):
                above -= 1
            last = (field.endlineno or 0) - (cls.lineno or 0)
            found = map(_COMMENT.search, lines[above : last + 1])
            if text := " ".join(match[1] for match in found if match):
                field.docstring = griffe.Docstring(text[0].upper() + text[1:], parent=field)
