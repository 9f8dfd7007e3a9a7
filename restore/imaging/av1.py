"""The frame size of AV1 data, read from its headers (AV1 specification, sections 5.3, 5.5 and 5.9).

AVIF decoders take the size of the result from the container, but allocate the frames that the AV1
data state. A file of a kilobyte that claims 64 x 64 pixels could thus use gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME, _REDUNDANT_FRAME_HEADER = 1, 3, 6, 7
_FRAME_KINDS = (_FRAME_HEADER, _FRAME, _REDUNDANT_FRAME_HEADER)
_KEY_FRAME, _SWITCH_FRAME = 0, 3
_SELECT = 2
"""Value of a tool that each frame switches on or off."""
_MAX_HEADER_BYTES = 512
_MAX_UNITS = 10_000
_MAX_SIZE_BYTES = 8
_FIRST_LEVEL_WITH_TIER = 8


@dataclass(frozen=True)
class _Sequence:
    """What a sequence header states about its frames."""

    width: int
    height: int
    is_reduced: bool
    presentation_bits: int
    screen_content: int
    integer_motion: int
    frame_id_bits: int


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._bits = len(data) * 8
        self._value = int.from_bytes(data, "big")

    def read(self, count: int) -> int:
        """Return the next bits as a number. Raises ValueError beyond the end."""
        self._bits -= count
        if self._bits < 0:
            raise ValueError("an AV1 header is too short")
        return (self._value >> self._bits) & ((1 << count) - 1)

    def read_uvlc(self) -> int:
        """Return a number of variable length."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


def largest_frame(data: bytes) -> tuple[int, int]:
    """Return the largest (width, height) that sequence headers of AV1 data state.

    Raises:
        ValueError: there is no sequence header, it is damaged, or a frame has another size.
    """
    sequence: _Sequence | None = None
    sizes: list[tuple[int, int]] = []
    for kind, body in _units(data):
        header = _Bits(body[:_MAX_HEADER_BYTES])
        if kind == _SEQUENCE_HEADER:
            sequence = _read_sequence(header)
            sizes.append((sequence.width, sequence.height))
        elif kind in _FRAME_KINDS:
            if sequence is None:
                raise ValueError("its AV1 data start without a sequence header")
            if not sequence.is_reduced and _has_own_size(header, sequence):
                raise ValueError("an AV1 frame has another size than its sequence")
    if not sizes:
        raise ValueError("its AV1 data have no sequence header")
    return max(sizes, key=lambda size: size[0] * size[1])


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each unit (OBU)."""
    at = 0
    for _ in range(_MAX_UNITS):
        if at >= len(data):
            return
        header = data[at]
        at += 2 if header & 4 else 1
        size = len(data) - at
        if header & 2:
            size = 0
            for index in range(_MAX_SIZE_BYTES):
                byte = data[at]
                at += 1
                size |= (byte & 0x7F) << 7 * index
                if not byte & 0x80:
                    break
        if at + size > len(data):
            raise ValueError("its AV1 data are cut short")
        yield header >> 3 & 15, data[at : at + size]
        at += size
    raise ValueError(f"its AV1 data have more than {_MAX_UNITS} units")


def _read_sequence(bits: _Bits) -> _Sequence:
    bits.read(3)  # the profile
    bits.read(1)  # whether it is a still picture
    is_reduced = bool(bits.read(1))
    presentation_bits = 0
    if is_reduced:
        bits.read(5)  # the level
    else:
        presentation_bits = _skip_timing(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    width, height = bits.read(width_bits) + 1, bits.read(height_bits) + 1
    frame_id_bits = 0
    if not is_reduced and bits.read(1):
        frame_id_bits = bits.read(4) + bits.read(3) + 3
    bits.read(3)  # superblocks, and two tools of intra prediction
    if is_reduced:
        return _Sequence(width, height, True, 0, _SELECT, _SELECT, 0)
    screen, motion = _read_tools(bits)
    return _Sequence(width, height, False, presentation_bits, screen, motion, frame_id_bits)


def _skip_timing(bits: _Bits) -> int:
    """Skip timing and operating points; return the bits of the presentation time of a frame."""
    delay_bits = presentation_bits = 0
    has_model = False
    if bits.read(1):
        bits.read(64)
        is_regular = bits.read(1)
        if is_regular:
            bits.read_uvlc()
        has_model = bool(bits.read(1))
        if has_model:
            delay_bits = bits.read(5) + 1
            bits.read(37)
            presentation_bits = 0 if is_regular else bits.read(5) + 1
            bits.read(5 if is_regular else 0)
    has_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) >= _FIRST_LEVEL_WITH_TIER:
            bits.read(1)
        if has_model and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if has_delay and bits.read(1):
            bits.read(4)
    return presentation_bits


def _read_tools(bits: _Bits) -> tuple[int, int]:
    """Return whether tools for screen content and whole motion vectors are used."""
    bits.read(4)  # tools of inter prediction
    has_order = bits.read(1)
    if has_order:
        bits.read(2)
    screen = _SELECT if bits.read(1) else bits.read(1)
    motion = _SELECT
    if screen and not bits.read(1):
        motion = bits.read(1)
    return screen, motion


def _has_own_size(bits: _Bits, sequence: _Sequence) -> bool:
    """Tell whether a frame header states a size of its own."""
    if bits.read(1):  # it shows an earlier frame
        return False
    kind, is_shown = bits.read(2), bits.read(1)
    if is_shown:
        bits.read(sequence.presentation_bits)
    else:
        bits.read(1)
    if not (kind == _SWITCH_FRAME or (kind == _KEY_FRAME and is_shown)):
        bits.read(1)
    bits.read(1)  # whether probabilities are adapted
    screen = bits.read(1) if sequence.screen_content == _SELECT else sequence.screen_content
    if screen and sequence.integer_motion == _SELECT:
        bits.read(1)
    bits.read(sequence.frame_id_bits)
    return kind == _SWITCH_FRAME or bool(bits.read(1))
