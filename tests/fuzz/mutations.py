"""Ways to damage the bytes of a file. Each takes the bytes, files of the same kind, and a random generator."""

import random
import re
import struct

MOST_BYTES = 2**20  # that a file may become by what is put in
EDGES = (0, 1, 127, 255, 2**15, 2**16 - 1, 2**20, 2**24, 2**30, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
NUMBERS = (b"-1", b"0", b"1e999", b"NaN", b"null", b"true", b'"x"', b"[]", b"0.5", b"9" * 5000, b"1" + b"0" * 12)
OPENING = (b"(", b"[", b"{", b"]", b"}", b")", b'{"a":', b"((", b"](", b"\x85", b"(l", b"\x00", b"\xff", b",", b" ")


def mutated(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """`content`, damaged in one to three ways."""
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(MUTATIONS)(content, others, rng)[: max(len(content), MOST_BYTES)]
    return content


def _place(content: bytes, rng: random.Random) -> int:
    """A place in the file: often near the front or the end, where headers and tables lie."""
    ends = (len(content), len(content), min(len(content), 64), min(len(content), 512))
    last = len(content) - 1
    from_front = rng.random() < 0.7
    offset = rng.randrange(max(1, rng.choice(ends)))
    return max(0, min(last, offset if from_front else last - offset))


def _part(content: bytes, rng: random.Random) -> tuple[int, int]:
    """A part of the file, mostly a short one: where it begins and ends."""
    start = _place(content, rng)
    return start, min(len(content), start + rng.choice((1, 2, 4, 8, 16, 100, 1000, len(content))))


def flip_bits(content, _, rng):
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8)) if content else 0):
        damaged[_place(content, rng)] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def set_byte(content, _, rng):
    place = _place(content, rng)
    return content[:place] + bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))]) + content[place + 1 :]


def cut_short(content, _, rng):
    return content[: _place(content, rng)]


def remove(content, _, rng):
    start, end = _part(content, rng)
    return content[:start] + content[end:]


def insert(content, _, rng):
    place = _place(content, rng)
    return content[:place] + rng.randbytes(rng.choice((1, 2, 4, 16, 300))) + content[place:]


def repeat(content, _, rng):
    start, end = _part(content, rng)
    times = min(rng.choice((2, 3, 10, 1000, 100_000)), MOST_BYTES // max(1, end - start))
    return content[:start] + content[start:end] * times + content[end:]


def splice(content, others, rng):
    """The front of this file and the end of another."""
    other = rng.choice(others)
    return content[: _place(content, rng)] + other[_place(other, rng) :]


def move(content, others, rng):
    """A part of another file, or of this one, over the bytes at some place."""
    other = rng.choice((content, *others))
    start, end = _part(other, rng)
    place = _place(content, rng)
    return content[:place] + other[start:end] + content[place + end - start :]


def set_length(content, _, rng):
    """A number in binary, as lengths and shapes are: near nothing, or huge."""
    form = rng.choice("BHIQ")
    value = (rng.choice(EDGES) + rng.choice((-1, 0, 0, 1))) % 256 ** struct.calcsize(form)
    number = struct.pack(rng.choice("<>") + form, value)
    place = _place(content, rng)
    return content[:place] + number + content[place + len(number) :]


def set_number(content, _, rng):
    """Another value for a number that is written as text."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not numbers:
        return content
    found = rng.choice(numbers)
    return content[: found.start()] + rng.choice(NUMBERS) + content[found.end() :]


def nest(content, _, rng):
    """Things in things in things: brackets, or the opcodes that open a list or a tuple."""
    place = _place(content, rng)
    opening = rng.choice(OPENING)
    return content[:place] + opening * rng.choice((2, 100, 5000, 200_000)) + content[place:]


MUTATIONS = (flip_bits, set_byte, cut_short, remove, insert, repeat, splice, move, set_length, set_number, nest)
