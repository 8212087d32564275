"""How much of a cell's outputs is kept, so that no notebook, and no page of feedback, grows without end."""

import json
from dataclasses import dataclass
from typing import Any

METADATA = 1000  # characters that describe an output, such as the width of a picture


@dataclass
class Room:
    """The characters that the outputs of a cell may still take: printed and displayed text, errors, pictures."""

    text: int
    errors: int
    pictures: int

    def keep(self, output: Any) -> bool:
        """Cut an output down to the room that is left. False if nothing of it is kept; of an error something is."""
        if output.output_type == "stream":
            output.text = self._cut(output.text, "text")
            return bool(output.text)
        if output.output_type == "error":
            output.ename, output.evalue = self._cut(output.ename, "errors"), self._cut(output.evalue, "errors")
            output.traceback = [self._cut(line, "errors") for line in output.traceback]
            return True
        output.data = dict(filter(None, (self._kept(kind, value) for kind, value in output.data.items())))
        if len(json.dumps(output.metadata)) > METADATA:
            output.metadata = {}
        return bool(output.data)

    def _kept(self, kind: str, value: Any) -> tuple[str, Any] | None:
        """What is kept of one form of a display: all of it, or the beginning of a text."""
        text = value if isinstance(value, str) else json.dumps(value)
        kept = self._cut(text, "pictures" if kind.startswith("image/") else "text")
        if kept == text:
            return kind, value
        return (kind, kept) if kept and kind.startswith("text/") else None

    def _cut(self, text: str, room: str) -> str:
        left = getattr(self, room)
        setattr(self, room, left - len(text[:left]))
        return text[:left]
