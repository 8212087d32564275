"""LaTeX to MathML, which a browser draws without a library and without a network.

It covers the LaTeX that `tinyalex.step.explain` uses: letters and numbers, subscripts and superscripts, groups in
braces, fractions, sums, names of functions, Greek letters and spaces.
"""

import re
from collections.abc import Iterator
from html import escape

TOKENS = re.compile(r"\\[a-zA-Z]+|\\.|[0-9.]+|[^\s]")
FUNCTIONS = ("max", "log", "tanh")
SPACES = {",": "0.17em", " ": "0.33em"}
SYMBOLS = {"-": "−", "alpha": "α", "beta": "β", "cdot": "·", "sum": "∑"}
LIMITS = ("∑", "max")  # their subscripts stand below them


def mathml(latex: str) -> str:
    """The formula as one <math> element. Raises ValueError for an unknown command."""
    tokens = list(TOKENS.findall(latex))
    row = _row(iter(tokens))
    return f'<math display="block" alttext="{escape(latex)}"><mrow>{row}</mrow></math>'


def _row(tokens: Iterator[str]) -> str:
    """All tokens up to the closing brace of the group, or up to the end."""
    parts: list[str] = []
    for token in tokens:
        if token == "}":
            break
        if token in "_^":
            parts.append(_script(token, parts.pop(), _atom(next(tokens), tokens)))
        else:
            parts.append(_atom(token, tokens))
    return "".join(parts)


def _atom(token: str, tokens: Iterator[str]) -> str:
    """One letter, number, operator, group or command with its arguments."""
    name = token[1:] if token.startswith("\\") else ""
    if token == "{":
        return f"<mrow>{_row(tokens)}</mrow>"
    if name == "frac":
        above, below = (_atom(next(tokens), tokens) for _ in range(2))
        return f"<mfrac>{above}{below}</mfrac>"
    if name == "mathrm":
        return f"<mi>{''.join(re.findall('>(.)<', _atom(next(tokens), tokens)))}</mi>"
    if name in SPACES:
        return f'<mspace width="{SPACES[name]}"/>'
    if name in FUNCTIONS:
        return f"<mo>{name}</mo>"
    if name and name not in SYMBOLS:
        raise ValueError(f"got {token}: expected a command that mathml() knows; add it to SYMBOLS or FUNCTIONS")
    shown = SYMBOLS.get(name or token, token)
    return f"<{_kind(shown)}>{escape(shown)}</{_kind(shown)}>"


def _kind(text: str) -> str:
    """The element for a text: a number, an identifier or an operator."""
    return "mn" if text[0].isdecimal() else "mi" if text.isalpha() else "mo"


def _script(mark: str, base: str, script: str) -> str:
    """`base` with a subscript (mark "_") or a superscript ("^"); a base that has a subscript gets both."""
    if mark == "_":
        tag = "munder" if re.sub("<.*?>", "", base) in LIMITS else "msub"
        return f"<{tag}>{base}{script}</{tag}>"
    if base.startswith("<msub>"):
        return f"<msubsup>{base.removeprefix('<msub>').removesuffix('</msub>')}{script}</msubsup>"
    return f"<msup>{base}{script}</msup>"
