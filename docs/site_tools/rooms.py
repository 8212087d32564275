"""The rooms of the package and the arrows between them: who imports whom, which way, and whether in a circle.

A room is a folder of the package, or a module that lies beside the folders. docs/design.md lists the rooms by floors.
A module may import from its own room and from the floors below it. `make rooms` draws the picture; to look at another
folder: `python -m site_tools.rooms PATH/tinyalex --picture FILE.png`, from docs/.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from site_tools.links import DOCS, ROOT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

PAGE, PICTURE = DOCS / "design.md", DOCS / "pictures" / "rooms.png"
Arrows = Mapping[str, set[str]]  # the name of a module, or of a room, and the names of all that it imports
Floors = Sequence[Sequence[str]]  # the lowest first
INK, PALE, BLUE, BAND, RED = "#44546a", "#c9d1d9", "#dfe9f3", "#f4f6f8", "#d62728"


# ---------------------------------------------------------------- which module imports which


def modules(package: Path) -> dict[str, ast.Module]:
    """The dotted name of every module in the folder `package`, with its syntax tree; "tinyalex" is its __init__."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """For each module, the modules of the package that it imports.

    Every import counts: at the top, inside a function, under TYPE_CHECKING, and by name, as in
    import_module("tinyalex.backend.cpu"). Raises ValueError for a relative import, and for a name made at run time.
    """
    return {
        name: {found for node in ast.walk(tree) for found in _imported(name, node, trees)}
        for name, tree in trees.items()
    }


def _imported(name: str, node: ast.AST, trees: Mapping[str, ast.Module]) -> Iterator[str]:
    match node:
        case ast.Import(names=aliases):
            yield from (alias.name for alias in aliases if alias.name in trees)
        case ast.ImportFrom(level=level) if level:
            raise ValueError(f"{name}, line {node.lineno}: got a relative import: expected the full name")
        case ast.ImportFrom(module=module, names=aliases) if module in trees:
            for alias in aliases:
                full = f"{module}.{alias.name}"
                yield full if full in trees else str(module)
        case ast.Call(func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"), args=[target, *_]):
            if not isinstance(target, ast.Constant):
                raise ValueError(f"{name}, line {node.lineno}: got an import of a name made at run time: write it out")
            if target.value in trees:
                yield str(target.value)


def circles(arrows: Arrows) -> list[set[str]]:
    """The groups of modules that all lead to each other by arrows."""
    reached = {name: _reached(name, arrows) for name in arrows}
    found = []
    for name in arrows:
        together = {other for other in reached[name] if name in reached[other]}
        if together and together not in found:
            found.append(together)
    return found


def _reached(start: str, arrows: Arrows) -> set[str]:
    found: set[str] = set()
    left = [start]
    while left:
        new = arrows[left.pop()] - found
        found |= new
        left += new
    return found


# ---------------------------------------------------------------- rooms and floors


def room_of(module: str) -> str:
    """The room of a module: "layers" for tinyalex.layers.conv, "net" for tinyalex.net, "tinyalex" for tinyalex."""
    return ([*module.split("."), module])[1]


def room_arrows(arrows: Arrows) -> dict[str, set[str]]:
    """The arrows from room to room."""
    between: dict[str, set[str]] = {room_of(module): set() for module in arrows}
    for module, known in arrows.items():
        between[room_of(module)] |= {room_of(other) for other in known} - {room_of(module)}
    return between


def floors_on(page: Path = PAGE) -> Floors:
    """The floors that a page lists in its first block of text, a line each, the lowest last."""
    block = re.search(r"^```text\n(.+?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if block is None:
        raise ValueError(f"{page}: got no block of text: expected the floors, a line each")
    return [line.split() for line in reversed(block[1].splitlines())]


def floors_from(between: Arrows) -> Floors:
    """Floors for a package that has no list: each room as low as its arrows let it, those of a circle on one floor."""
    below = {room: _reached(room, between) for room in between}
    floors: list[list[str]] = []
    left = set(between)
    while left:
        floors.append(sorted(room for room in left if all(room in below[other] for other in below[room] & left)))
        left -= set(floors[-1])
    return floors


def not_down(arrows: Arrows, floors: Floors) -> list[tuple[str, str]]:
    """The arrows between modules of two rooms that do not lead to a lower floor."""
    height = {room: number for number, floor in enumerate(floors) for room in floor}
    pairs = [(one, two) for one, known in sorted(arrows.items()) for two in sorted(known)]
    return [
        (one, two)
        for one, two in pairs
        if room_of(one) != room_of(two) and height[room_of(two)] >= height[room_of(one)]
    ]


# ---------------------------------------------------------------- the picture


def draw(arrows: Arrows, floors: Floors, path: Path) -> None:
    """Write a picture of the rooms to `path`: a row for each floor, an arrow to each room that a room imports.

    Dark arrows lead down, red ones do not. Where two dark arrows lead from a to b to c, that from a to c is pale.
    """
    from matplotlib.figure import Figure

    between = room_arrows(arrows)
    wrong = {(room_of(one), room_of(two)) for one, two in not_down(arrows, floors)}
    figure = Figure(figsize=(10, 0.62 * len(floors) + 0.4), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-6.2, 6.2)
    axes.set_ylim(-0.7, len(floors) - 0.3)
    for number in range(0, len(floors), 2):
        axes.axhspan(number - 0.5, number + 0.5, color=BAND, zorder=0)
    boxes = _boxes(axes, floors, Counter(map(room_of, arrows)))
    figure.draw_without_rendering()  # gives the boxes their sizes, so that arrows end at their edges
    for one, known in between.items():
        for two in known:
            if (one, two) in wrong:
                colour, width, order = RED, 1.4, 3
            elif any(two in _reached(other, between) for other in known - {two}):
                colour, width, order = PALE, 0.5, 1
            else:
                colour, width, order = INK, 1.1, 2
            _arrow(axes, boxes[one], boxes[two], colour, width, order)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _boxes(axes: Axes, floors: Floors, size: Mapping[str, int]) -> dict[str, Text]:
    """A box for each room, blue with the number of its modules for a folder. A floor's rooms stand side by side.

    Rooms that have a floor to themselves stand left and right in turn: arrows past them stay visible.
    """
    boxes = {}
    for y, floor in enumerate(floors):
        gap = min(3.0, 10.5 / len(floor))
        for number, room in enumerate(floor):
            x = (number - (len(floor) - 1) / 2) * gap if len(floor) > 1 else (1.3 if y % 2 else -1.3)
            text, colour = (room, "white") if size[room] == 1 else (f"{room}/  {size[room]}", BLUE)
            look = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": INK}
            boxes[room] = axes.text(x, y, text, ha="center", va="center", size=10, bbox=look, zorder=4)
    return boxes


def _arrow(axes: Axes, start: Text, end: Text, colour: str, width: float, order: int) -> None:
    """An arrow from box to box; the more floors lie between them, the more it bends."""
    (x, y), (to_x, to_y) = start.get_position(), end.get_position()
    far = abs(y - to_y)
    outward = -1 if x + to_x >= 0 else 1
    bend = 0.35 if far == 0 else 0.0 if far == 1 else outward * (0.06 + 0.018 * far)
    look = {
        "arrowstyle": "-|>",
        "color": colour,
        "linewidth": width,
        "patchA": start.get_bbox_patch(),
        "patchB": end.get_bbox_patch(),
        "connectionstyle": f"arc3,rad={bend}",
    }
    axes.annotate("", (to_x, to_y), (x, y), arrowprops=look, zorder=order)


def main() -> None:
    """Draw the rooms, and print how many modules, arrows, circles and wrong arrows there are."""
    parser = argparse.ArgumentParser(prog="site_tools.rooms", description=main.__doc__)
    parser.add_argument("package", nargs="?", type=Path, default=ROOT / "tinyalex", help="the folder of a package")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where the picture goes")
    chosen = parser.parse_args()
    arrows = imports(modules(chosen.package))
    between = room_arrows(arrows)
    floors = floors_on()
    if {room for floor in floors for room in floor} != set(between):
        print("docs/design.md does not list these rooms: the floors follow from the arrows")
        floors = floors_from(between)
    wrong, tied = not_down(arrows, floors), circles(arrows)
    draw(arrows, floors, chosen.picture)
    folders = sum(any(room_of(one) == room and one.count(".") > 1 for one in arrows) for room in between)
    print(f"modules            {len(arrows)}")
    print(f"arrows             {sum(map(len, arrows.values()))}, from room to room {sum(map(len, between.values()))}")
    print(f"circles            {len(tied)}" + "".join(f"\n  of {len(one)}: {' '.join(sorted(one))}" for one in tied))
    print(f"arrows not down    {len(wrong)}" + "".join(f"\n  {one} -> {two}" for one, two in wrong))
    print(f"rooms at the root  {len(between)}: {folders} folders, {len(between) - folders} modules")
    print(f"picture            {chosen.picture}")


if __name__ == "__main__":
    main()
