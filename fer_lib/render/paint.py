"""What is painted on a face: in template space, so that it follows the skin whatever identity and expression do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import scipy.sparse as sp
from PIL import Image, ImageDraw
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter

from fer_lib.render.assets import smoothstep

# Window of the template that is painted (x from left to right, y upwards; decimetres) and its pixels.
LEFT, RIGHT, LOW, HIGH = -0.8, 0.8, 6.1, 8.1
WIDTH, HEIGHT = 640, 800

Points = Sequence[tuple[float, float]]


def _forehead(y: float) -> tuple[Points, float]:
    return [(0, y), (0.15, y + 0.012), (0.30, y + 0.02), (0.42, y - 0.01)], 1.0


# Mirrored grooves: (points, depth) and their width in decimetres.
_GROOVES: dict[str, tuple[list[tuple[Points, float]], float]] = {
    "forehead": ([_forehead(7.64), _forehead(7.71), _forehead(7.78)], 0.016),
    "forehead_middle": (
        [
            ([(0, 7.62), (0.10, 7.63), (0.17, 7.60)], 1.0),
            ([(0, 7.69), (0.12, 7.70), (0.2, 7.67)], 1.0),
            ([(0, 7.75), (0.12, 7.76)], 0.7),
        ],
        0.016,
    ),
    "glabella": (
        [([(0.045, 7.46), (0.055, 7.53), (0.06, 7.61)], 1.0), ([(0.10, 7.50), (0.115, 7.56)], 0.4)],
        0.015,
    ),
    "nose_root": (
        [
            ([(0, 7.40), (0.06, 7.395)], 1.0),
            ([(0, 7.34), (0.05, 7.335)], 0.7),
            ([(0.05, 7.33), (0.10, 7.26)], 0.7),
            ([(0.07, 7.36), (0.12, 7.30)], 0.6),
        ],
        0.013,
    ),
    "crow": (
        [
            ([(0.47, 7.37), (0.56, 7.41)], 1.0),
            ([(0.475, 7.345), (0.57, 7.345)], 1.0),
            ([(0.465, 7.32), (0.55, 7.28)], 0.9),
        ],
        0.012,
    ),
    "underlid": ([([(0.19, 7.28), (0.30, 7.245), (0.41, 7.275)], 1.0)], 0.012),
    "nasolabial": ([([(0.165, 7.01), (0.23, 6.93), (0.285, 6.82), (0.315, 6.70)], 1.0)], 0.022),
    "nasolabial_upper": ([([(0.15, 7.06), (0.20, 6.99), (0.25, 6.90), (0.28, 6.80)], 1.0)], 0.020),
    "dimple": ([([(0.285, 6.73), (0.305, 6.69), (0.29, 6.645)], 1.0)], 0.012),
    "marionette": ([([(0.245, 6.66), (0.27, 6.60), (0.275, 6.53)], 1.0)], 0.013),
    "chin": (
        [
            ([(0, 6.505), (0.08, 6.51), (0.15, 6.48)], 1.0),
            ([(0.03, 6.44), (0.05, 6.40)], 0.6),
            ([(0.08, 6.45), (0.10, 6.40)], 0.5),
        ],
        0.012,
    ),
}


@cache
def grid() -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of every painted pixel, two (HEIGHT, WIDTH) float32 arrays in decimetres."""
    y = HIGH - (np.arange(HEIGHT) + 0.5) / HEIGHT * (HIGH - LOW)
    x = LEFT + (np.arange(WIDTH) + 0.5) / WIDTH * (RIGHT - LEFT)
    across, up = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return across, up


def places(template: np.ndarray) -> sp.csr_matrix:
    """Return the matrix that looks flat layers, (HEIGHT * WIDTH, c), up at points of the template, (n, 3)."""
    rows = np.clip((HIGH - template[:, 1]) / (HIGH - LOW) * HEIGHT - 0.5, 0, HEIGHT - 1.001)
    columns = np.clip((template[:, 0] - LEFT) / (RIGHT - LEFT) * WIDTH - 0.5, 0, WIDTH - 1.001)
    row, column = rows.astype(np.int32), columns.astype(np.int32)
    down, right = (rows - row).astype(np.float32), (columns - column).astype(np.float32)
    corner = row * WIDTH + column
    corners = np.stack([corner, corner + 1, corner + WIDTH, corner + WIDTH + 1], 1)
    weights = np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], 1)
    starts = np.arange(len(template) + 1, dtype=np.int32) * 4
    return sp.csr_matrix((weights.ravel(), corners.ravel(), starts), (len(template), HEIGHT * WIDTH))


def strokes(lines: Sequence[tuple[Points, float, float]], scale: int = 2) -> np.ndarray:
    """Draw antialiased polylines of (points, width in decimetres, value), (HEIGHT, WIDTH) float32."""
    picture = Image.new("F", (WIDTH * scale, HEIGHT * scale))
    pen = ImageDraw.Draw(picture)
    for points, width, value in lines:
        path = [
            ((x - LEFT) / (RIGHT - LEFT) * WIDTH * scale, (HIGH - y) / (HIGH - LOW) * HEIGHT * scale)
            for x, y in points
        ]
        pen.line(path, fill=value, width=max(1, round(width / (RIGHT - LEFT) * WIDTH * scale)), joint="curve")
    fine = np.asarray(picture, np.float32)
    return fine.reshape(HEIGHT, scale, WIDTH, scale).mean((1, 3))


def curve(points: Points, count: int = 24) -> list[tuple[float, float]]:
    """Interpolate points by a curve that does not overshoot."""
    known = np.array(points, float)
    at = np.linspace(0, len(known) - 1, count)
    if len(known) < 3:
        return [
            (float(np.interp(t, [0, 1], known[:, 0])), float(np.interp(t, [0, 1], known[:, 1]))) for t in at
        ]
    return [(float(x), float(y)) for x, y in PchipInterpolator(np.arange(len(known)), known)(at)]


def fractal(rng: np.random.Generator, shape: tuple[int, int], octaves: int = 5, first: int = 6) -> np.ndarray:
    """Cloudy noise of unit deviation, float32."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        side = first * 2**octave
        coarse = Image.fromarray(rng.normal(size=(side, side)).astype(np.float32))
        total += 0.6**octave * np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC))
    return total / total.std()


def _relief(name: str, rng: np.random.Generator | None = None) -> np.ndarray:
    """Height map of one layer; with `rng`, its lines bent, shifted and of uneven depth as in one person."""
    grooves, width = _GROOVES[name]
    picture = Image.new("F", (WIDTH, HEIGHT))
    pen = ImageDraw.Draw(picture)
    for points, depth in grooves:
        shift = rng.normal(0, 0.012, 2) if rng else np.zeros(2)
        tilt = rng.normal(0, 0.06) if rng else 0.0
        own = depth * rng.uniform(0.35, 1.15) if rng else depth
        for mirror in (1, -1):
            line = np.array(curve(points))
            line[:, 1] += shift[1] + tilt * (line[:, 0] - line[0, 0])
            line[1:, 0] += shift[0]
            bends = np.ones(len(line))
            if rng:  # the two sides of a face differ a little as well
                wave = np.interp(np.linspace(0, 4, len(line)), range(5), rng.normal(0, 0.007, 5))
                line[1:, 1] += wave[1:]
                bends = np.interp(np.linspace(0, 3, len(line)), range(4), rng.uniform(0.3, 1.2, 4))
            columns = (mirror * line[:, 0] - LEFT) / (RIGHT - LEFT) * WIDTH
            rows = (HIGH - line[:, 1]) / (HIGH - LOW) * HEIGHT
            for i in range(len(line) - 1):
                ends = [(columns[i], rows[i]), (columns[i + 1], rows[i + 1])]
                pen.line(ends, fill=float(own * bends[i]), width=2)
    drawn = np.asarray(picture)
    sigma = width / (RIGHT - LEFT) * WIDTH
    margin = int(8 * sigma)
    inked_rows, inked_columns = (np.flatnonzero(drawn.any(axis)) for axis in (1, 0))
    window = (
        slice(max(0, inked_rows[0] - margin), inked_rows[-1] + margin),
        slice(max(0, inked_columns[0] - margin), inked_columns[-1] + margin),
    )
    near = drawn[window]
    height = np.zeros_like(drawn)
    groove = 0.8 * gaussian_filter(near, 2.5 * sigma, truncate=3) - gaussian_filter(near, sigma, truncate=3)
    height[window] = groove / abs(groove).max()
    return height


def strands(rng: np.random.Generator, curl: float) -> np.ndarray:
    """Draw strands of hair by angle from the crown (rows) and around it (columns), unit deviation."""
    raw = rng.standard_normal((64, 1024), np.float32)
    straight = gaussian_filter(raw, (14, 1.6), mode=("nearest", "wrap"))
    locks = gaussian_filter(rng.standard_normal((64, 1024), np.float32), (9, 9), mode=("nearest", "wrap"))
    curls = gaussian_filter(raw, (0.8, 6), mode=("nearest", "wrap"))
    parts = [(1 - curl, straight), (0.5, locks), (curl, curls)]
    mixed = sum(weight * layer / layer.std() for weight, layer in parts)
    return mixed / mixed.std()


@cache
def shared_wrinkles() -> dict[str, np.ndarray]:
    """Height maps of the wrinkle layers, grooves below 0, as no one in particular has them."""
    return {name: _relief(name) for name in _GROOVES}


def own_wrinkle(layer: str, seed: int) -> np.ndarray:
    """Height map of one wrinkle layer of one person, drawn from the person's seed: no two people share a line."""
    return _relief(layer, np.random.default_rng([seed, list(_GROOVES).index(layer)]))


@cache
def fade() -> np.ndarray:
    """Return how much of the paint remains towards the sides and the bottom of its window, (HEIGHT, WIDTH)."""
    x, y = grid()
    return smoothstep(0.79, 0.66, abs(x)) * smoothstep(LOW + 0.01, LOW + 0.18, y)


def brows(
    rng: np.random.Generator,
    *,
    thickness: float,
    density: int,
    arch: float,
    height: float,
    gap: float,
    length: float,
) -> np.ndarray:
    """Draw eyebrows hair by hair, opacity (HEIGHT, WIDTH) from 0 to 1."""
    middle = curve(
        [
            (gap, 7.495 + height),
            (0.22, 7.535 + height + arch / 2),
            (0.35, 7.555 + height + arch),
            (length, 7.505 + height),
        ],
        60,
    )
    hairs: list[tuple[Points, float, float]] = []
    for mirror in (1, -1):
        for t in rng.beta(1.25, 1.25, size=density):
            cx, cy = np.array(middle[int(t * 58)]) + rng.normal(0, 0.004, 2)
            width = thickness * (0.45 + 0.55 * float(smoothstep(0, 0.25, np.array(t)))) * (1 - 0.75 * t**1.6)
            rise = rng.uniform(-0.55, 0.55) * width
            angle = np.deg2rad(
                78 - 85 * float(smoothstep(0, 0.55, np.array(t))) - (rise > 0) * 18 * t + rng.normal(0, 11)
            )
            reach = rng.uniform(0.035, 0.065) * (1 - 0.35 * t)
            dark = float(rng.uniform(0.35, 0.8) * (0.5 + 0.5 * smoothstep(0, 0.2, np.array(t))))
            x0, y0 = cx, cy + rise
            x1, y1 = x0 + reach * np.cos(angle), y0 + 0.75 * reach * np.sin(angle)
            hairs.append(([(mirror * x0, y0), (mirror * x1, y1)], 0.0055, dark))
    sharp = gaussian_filter(strokes(hairs), 0.8)
    return np.clip(0.75 * sharp + 0.6 * gaussian_filter(sharp, 3), 0, 0.9)


def skin(rng: np.random.Generator, *, beard: float, style: str, freckled: bool) -> np.ndarray:
    """Paint the relative brightness of bare skin, (HEIGHT, WIDTH) around 1."""
    x, y = grid()
    across = abs(x)

    def blob(cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
        return np.exp(-(((across - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)

    tone = (
        1
        + 0.035 * fractal(rng, x.shape)
        + 0.04 * fractal(rng, x.shape, 2, 5)
        + 0.02 * rng.standard_normal(x.shape, np.float32)
    )
    tone *= 1 - 0.10 * blob(0.30, 7.245, 0.13, 0.05) * rng.uniform(0, 3)  # below the eyes
    tone *= 1 - 0.10 * blob(0.16, 7.38, 0.06, 0.08) * rng.uniform(0, 2.5)  # inner corners of the sockets
    tone *= 1 - 0.08 * blob(0.38, 7.05, 0.14, 0.12) * rng.uniform(-1, 2) - 0.05 * blob(0, 7.0, 0.09, 0.08)
    for _ in range(rng.poisson(5)):  # moles
        cx, cy, size = rng.uniform(-0.55, 0.55), rng.uniform(6.3, 7.8), rng.uniform(0.004, 0.011)
        near = np.ix_(abs(y[:, 0] - cy) < 4 * size, abs(x[0] - cx) < 4 * size)
        spot = np.exp(-((x[near] - cx) ** 2 + (y[near] - cy) ** 2) / size**2)
        tone[near] *= 1 - rng.uniform(0.1, 0.5) * spot
    if freckled:
        spots = gaussian_filter((rng.random(x.shape, np.float32) < 0.004).astype(np.float32), 1.3)
        tone *= 1 - 0.22 * spots / spots.max() * blob(0.25, 7.1, 0.3, 0.2)
    if beard:
        stubble = gaussian_filter(rng.random(x.shape, np.float32), 0.7)
        stubble = (stubble - stubble.mean()) / stubble.std()
        patchy = 0.05 * fractal(rng, x.shape, 3, 10)  # a beard has no edge, it thins out
        jaw = smoothstep(7.02, 6.74, y + patchy + 0.4 * np.maximum(across - 0.30, 0))
        jaw *= smoothstep(0, 0.05, abs(y - 6.69) + np.maximum(across - 0.24, 0)) * smoothstep(
            0.72, 0.50, across
        )
        cheek, moustache = 1 - 0.9 * blob(0.34, 6.88, 0.14, 0.12), blob(0.09, 6.815, 0.15, 0.045)
        area = moustache if style == "moustache" else jaw * cheek + moustache
        tone *= 1 - np.clip(beard * np.clip(area, 0, 1) * (0.6 + 0.14 * stubble), 0, 0.85)
    return (1 + (tone - 1) * fade()).astype(np.float32)
