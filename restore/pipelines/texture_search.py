"""Numba kernel that finds, for each pixel of a hole, a known pixel with similar surroundings.

A randomised search after PatchMatch (Barnes et al., SIGGRAPH 2009), which compares the coarse
colours and the fine detail around both pixels (Hertzmann et al., Image Analogies, 2001). The fine
detail of a hole is unknown, so each pixel gets that of its match at once, and the next pixels are
compared with it.
"""

from __future__ import annotations

import numpy as np

from restore.optimize.matrix_products import kernel

RADIUS_PX = 3
"""Half the side of the patches whose fine detail is compared."""

REACH_PX = 64
"""Distance from a match within which the first random source is chosen."""

PASSES = 3
RANDOM_TRIES = 6

Position = tuple[int, int]
"""Row and column."""

Window = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""The arrays `coarse`, `fine`, `is_set` and `is_source` of `find_matches`."""


@kernel
def next_random(state: np.ndarray, limit: int) -> int:
    """Return a number in [0, limit) of an xorshift generator; `state` is one uint32, not 0."""
    value = state[0]
    value ^= value << np.uint32(13)
    value ^= value >> np.uint32(17)
    value ^= value << np.uint32(5)
    state[0] = value
    return int(value % np.uint32(limit))


@kernel
def distance(target: Position, source: Position, window: Window, best: float) -> float:
    """Return the squared difference of two pixels and their surroundings.

    Args:
        target: in the hole.
        source: a known pixel, at least RADIUS_PX away from the window's edges.
        window: see `find_matches`.
        best: the comparison may stop at this value.
    """
    (y, x), (source_y, source_x), (coarse, fine, is_set, _) = target, source, window
    total = 0.0
    for channel in range(3):
        step = coarse[y, x, channel] - coarse[source_y, source_x, channel]
        total += step * step
    if total >= best:
        return total
    squares, count = 0.0, 0
    for dy in range(-RADIUS_PX, RADIUS_PX + 1):
        if not 0 <= y + dy < fine.shape[0]:
            continue
        for dx in range(-RADIUS_PX, RADIUS_PX + 1):
            # All of the nearest pixels, and every other one of those further away.
            is_skipped = (dx + dy) % 2 != 0 and (abs(dx) > 1 or abs(dy) > 1)
            if is_skipped or not 0 <= x + dx < fine.shape[1] or not is_set[y + dy, x + dx]:
                continue
            step = fine[y + dy, x + dx] - fine[source_y + dy, source_x + dx]
            squares += step * step
            count += 1
    return total + squares / max(count, 1)


@kernel
def is_usable(position: Position, is_source: np.ndarray) -> bool:
    """Return whether a position, which may lie outside of the window, is a source."""
    y, x = position
    is_inside = 0 <= y < is_source.shape[0] and 0 <= x < is_source.shape[1]
    return bool(is_inside and is_source[y, x])


@kernel
def best_of_neighbours(
    target: Position, matches: np.ndarray, window: Window
) -> tuple[Position, float]:
    """Return the best of the target's match and those beside the matches of its neighbours.

    Args:
        target: in the hole.
        matches: HxWx2 int64, as `find_matches` returns them.
        window: see `find_matches`.

    Returns:
        The source and its distance; infinite if neither the target nor a neighbour has a match.
    """
    y, x = target
    match, best = (matches[y, x, 0], matches[y, x, 1]), np.inf
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            if not (0 <= y + dy < len(matches) and 0 <= x + dx < matches.shape[1]):
                continue
            source = matches[y + dy, x + dx, 0] - dy, matches[y + dy, x + dx, 1] - dx
            if matches[y + dy, x + dx, 0] >= 0 and is_usable(source, window[3]):
                near = distance(target, source, window, best)
                if near < best:
                    match, best = source, near
    return match, best


@kernel
def best_of_random(
    target: Position,
    match: Position,
    best: float,
    window: Window,
    sources: np.ndarray,
    from_anywhere: bool,
    state: np.ndarray,
) -> Position:
    """Return the best of a match and of random sources around it, nearer and nearer.

    Args:
        target: in the hole.
        match: its match.
        best: the distance of the match; infinite if there is none.
        window: see `find_matches`.
        sources: Mx2 int64.
        from_anywhere: whether half of the tries are any sources.
        state: of the random numbers.
    """
    reach_px = REACH_PX
    for attempt in range(RANDOM_TRIES):
        if best == np.inf or (from_anywhere and attempt < RANDOM_TRIES // 2):
            index = next_random(state, len(sources))
            source = sources[index, 0], sources[index, 1]
        else:
            y = match[0] + next_random(state, 2 * reach_px + 1) - reach_px
            x = match[1] + next_random(state, 2 * reach_px + 1) - reach_px
            source, reach_px = (y, x), max(1, reach_px // 2)
            if not is_usable(source, window[3]):
                continue
        tried = distance(target, source, window, best)
        if tried < best:
            match, best = source, tried
    return match


@kernel
def find_matches(targets: np.ndarray, sources: np.ndarray, window: Window, seed: int) -> np.ndarray:
    """Find a source for each target.

    Args:
        targets: Nx2 int64, rows and columns in the order in which the first pass visits them.
        sources: Mx2 int64, rows and columns, M > 0.
        window: `coarse` (HxWx3 float32), `fine` (HxW float32), `is_set` (HxW bool, True where
            `fine` is known) and `is_source` (HxW bool, True at the sources, which are at least
            RADIUS_PX away from the window's edges). `fine` and `is_set` are written at the targets.
        seed: of the random choices.

    Returns:
        HxWx2 int64, rows and columns of the sources; -1 outside of the targets.
    """
    fine, is_set = window[1], window[2]
    matches = np.full((*fine.shape, 2), -1, np.int64)
    state = np.array([seed | 1], np.uint32)
    for turn in range(PASSES):
        for step in range(len(targets)):
            row = step if turn % 2 == 0 else len(targets) - 1 - step
            y, x = targets[row, 0], targets[row, 1]
            match, best = best_of_neighbours((y, x), matches, window)
            source_y, source_x = best_of_random(
                (y, x), match, best, window, sources, turn == 0, state
            )
            matches[y, x, 0], matches[y, x, 1] = source_y, source_x
            fine[y, x] = fine[source_y, source_x]
            is_set[y, x] = True
    return matches
