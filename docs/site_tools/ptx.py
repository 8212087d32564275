"""Counts the instructions that a CUDA kernel executes: an interpreter of PTX, NVIDIA's assembly language.

It follows the integers, on which loops depend, exactly. Floating-point numbers that are read or computed are all 0.5:
it counts, and does not compute. PTX is what `nvcc -ptx` writes; the GPU's own instructions
are a few more or fewer, which the caller corrects for.
"""

import operator
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

ENTRY = re.compile(r"\.entry (\w+)\((.*?)\)\s*(?:\.\w+ \d+\s*)*\{(.*?)\n\}", re.DOTALL)
INSTRUCTION = re.compile(r"(?:@(!?)(%\w+)\s+)?([a-z][\w.:]*)\s*(.*);")
OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+")
READ = 0.5  # every number in memory
INTEGERS: dict[str, Callable[..., int]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "mad": lambda a, b, c: a * b + c,
    "div": lambda a, b: int(a / b) if abs(a) < 2**52 else a // b,
    "rem": lambda a, b: a - int(a / b) * b,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "not": operator.invert,
    "neg": operator.neg,
    "min": min,
    "max": max,
    "shl": operator.lshift,
    "shr": operator.rshift,
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq, "ne": operator.ne,
    "ltu": operator.lt, "leu": operator.le, "gtu": operator.gt, "geu": operator.ge, "neu": operator.ne,
    "nan": lambda _a, _b: False,
}  # fmt: skip
PREDICATES: dict[str, Callable[..., bool]] = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "not": operator.not_,
}


class Kernel:
    """A kernel of a PTX file.

    length: its instructions.   parameters: their names, in order.
    """

    def __init__(self, parameters: str, body: str) -> None:
        self.parameters = re.findall(r"(\w+)(?:\[\d+\])?(?:,|$)", " ".join(parameters.split()))
        self._labels: dict[str, int] = {}
        self._code: list[tuple[str, bool, str, list[str]]] = []
        for line in body.splitlines():
            text = line.strip()
            if label := re.fullmatch(r"(\$\w+):", text):
                self._labels[label[1]] = len(self._code)
            elif (found := INSTRUCTION.fullmatch(text)) and not text.startswith("."):
                negated, predicate, name, operands = found.groups()
                self._code.append((predicate or "", not negated, name, OPERAND.findall(operands)))
        self.length = len(self._code)

    def executed(self, values: Mapping[str, float]) -> int:
        """How many instructions one thread executes. values: of parameters and of special registers (%tid.x, ...)."""
        registers: dict[str, Any] = dict(values)
        at = count = 0
        while at < self.length:
            predicate, wanted, name, operands = self._code[at]
            at, count = at + 1, count + 1
            if predicate and registers[predicate] != wanted:
                continue
            kind = name.split(".")
            if kind[0] == "bra":
                at = self._labels[operands[0]]
            elif kind[0] == "ret":
                break
            elif kind[0] not in ("st", "bar"):
                target, *sources = operands
                found = _result(kind, sources, registers)
                for register in re.findall(r"%[\w.]+", target.replace("|", " ")):
                    registers[register] = found
        return count


def kernels(ptx: str) -> Iterator[tuple[str, Kernel]]:
    """The kernels of a PTX file, by name."""
    for name, parameters, body in ENTRY.findall(ptx):
        yield name, Kernel(parameters, body)


def _result(kind: list[str], sources: list[str], registers: Mapping[str, Any]) -> Any:
    """What an instruction writes to its register."""
    if kind[0] == "ld":
        return registers.get(sources[0].strip("[]"), READ) if kind[1] == "param" else READ
    values = [_value(source, registers) for source in sources]
    if kind[0] in ("mov", "cvta"):
        return values[0]
    if kind[0] == "setp":
        return COMPARISONS[kind[1]](*(_as(kind[2], value) for value in values))
    if kind[0] == "selp":
        return values[0] if values[2] else values[1]
    if kind[-1] == "pred":
        return PREDICATES[kind[0]](*values)
    if kind[0] == "cvt":
        return READ if kind[-2].startswith("f") else _as(kind[-2], _as(kind[-1], values[0]))
    if kind[-1].startswith("f") or any(isinstance(value, float) for value in values):
        return READ
    operands = [_as(kind[-1], value) for value in values]
    found = INTEGERS[kind[0]](*operands)
    return found if "wide" in kind else _as(kind[-1], found)


def _value(source: str, registers: Mapping[str, Any]) -> Any:
    """A register's value, or a number as it is written; of an address that has no number, 0."""
    if source.startswith("%"):
        return registers.get(source, READ)
    if re.fullmatch(r"-?\d+", source):
        return int(source)
    return struct.unpack(">f", bytes.fromhex(source[2:]))[0] if source.startswith("0f") else 0


def _as(kind: str, value: Any) -> Any:
    """An integer as the type `kind` (s32, u64, b32, ...) holds it."""
    if isinstance(value, float) or not kind[1:].isdecimal():
        return value
    bits = int(kind[1:])
    value &= (1 << bits) - 1
    return value - (1 << bits) if kind[0] != "u" and value >> (bits - 1) else value
