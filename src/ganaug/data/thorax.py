"""A randomised thorax in three dimensions, projected from back to front along parallel rays.

Lengths are in cm. x runs to the viewer's right (the patient's left), y down, z along the rays; (0, 0) is the middle of
an unshifted film. Every drawing function returns a map [H, W] of path lengths in cm: organs are
ellipsoids and swept ellipses whose chords have a closed form, bones are tubes with a cortex.
"""

from dataclasses import dataclass

import numpy as np

from ganaug.data.rays import ellipsoid, smooth_noise, splat, tube

RIBS = 12


@dataclass(frozen=True)
class Person:
    """What differs between people and between exposures of one; drawn by `draw_person`."""

    width: float  # half-width of the rib cage at its widest
    depth: float  # half-depth of the rib cage
    fat: float  # thickness of the chest wall
    apex: float  # y of the lung tops
    base: tuple[float, float]  # y of the diaphragm domes (viewer's left, viewer's right)
    dome: tuple[float, float]  # curvature of the domes, 1/cm
    heart: float  # half-width of the left ventricle
    heart_tilt: float  # radians
    aorta: float  # half-width of the aortic knob
    mediastinum: float  # half-width above the heart
    ribs: float  # distance between neighbouring ribs
    rib_drop: float  # how far the ribs fall from the spine to the side
    shoulders: float  # y at which the body widens into the shoulders
    breasts: float  # half-depth of the breasts; 0 for none seen
    vessels: float  # vascular markings, 1 is usual
    rotation: float  # radians about the long axis
    curve: float  # sideways bend of the spine
    bone: float  # mineral content, 1 is usual


def draw_person(rng: np.random.Generator) -> Person:
    """A person and a position: habitus, inspiration, heart size, rib angle, rotation."""
    size, build = rng.normal(1, 0.06), rng.normal()
    inspiration = rng.normal()
    right_base = 9.0 * size + 1.3 * inspiration
    return Person(
        width=12.9 * size + 0.4 * build,
        depth=7.6 * size + 0.6 * build,
        fat=float(np.clip(2.4 + 0.9 * build + rng.normal(0, 0.3), 1.2, 5.0)),
        apex=-15.0 * size + rng.normal(0, 0.5),
        base=(right_base, right_base + rng.normal(1.0, 0.6)),
        dome=(rng.uniform(0.035, 0.07), rng.uniform(0.035, 0.07)),
        heart=float(np.clip(rng.normal(4.5, 0.6) * size + 0.2 * build - 0.25 * inspiration, 3.4, 8)),
        heart_tilt=rng.normal(0.62, 0.14) + 0.08 * inspiration,
        aorta=float(np.clip(rng.normal(1.5, 0.35), 0.8, 2.6)),
        mediastinum=rng.normal(2.2, 0.25) * size,
        ribs=2.25 * size + rng.normal(0, 0.08) + 0.05 * inspiration,
        rib_drop=float(np.clip(rng.normal(3.2, 1.1), 1.0, 6.0)),
        shoulders=rng.normal(-9.0, 1.2) * size,
        breasts=float(rng.uniform(1, 4.0)) if rng.random() < 0.4 else 0.0,
        vessels=float(np.exp(rng.normal(0, 0.3))),
        rotation=rng.normal(0, 0.07),
        curve=rng.normal(0, 0.5),
        bone=float(np.exp(rng.normal(0, 0.2))),
    )


@dataclass(frozen=True)
class Thorax:
    """Path lengths in cm, each [H, W]: soft tissue (lungs left out), aerated lung, bone, vessels within the lung."""

    soft: np.ndarray
    lung: np.ndarray
    bone: np.ndarray
    vessels: np.ndarray


def project(person: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Thorax:
    """Chords through the thorax of `person`. x, y: film coordinates in cm, [H, W]. rng: details and textures."""
    body = body_chord(person, x, y, rng)
    cage, reach = _cage(person, x, y)
    heart, vessels_great = _heart(person, x, y, rng)
    lung = _lungs(person, x, y, cage) - heart - vessels_great
    lung = np.maximum(lung, 0)
    air = _airways(person, x, y, rng) + _stomach(person, x, y, rng)
    bone = person.bone * (
        _ribs(person, x, y, reach, rng)
        + _spine(person, x, y, rng)
        + _clavicles(person, x, y, rng)
        + _scapulae(person, x, y, rng)
    )
    soft = np.maximum(body - lung - air, 0)
    soft *= 1 + 0.02 * smooth_noise(rng, x, y, 3.0)
    markings = person.vessels * _vessel_trees(x, y, rng) * np.clip(lung / 4, 0, 1)
    return Thorax(soft.astype(np.float32), lung.astype(np.float32), bone.astype(np.float32), markings)


def body_chord(p: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Skin to skin: trunk, shoulders, neck, breasts."""
    wide = p.width + p.fat + (8.0 + p.fat) / (1 + np.exp((y - p.shoulders) / 2.0)) + 0.05 * np.maximum(y, 0)
    trunk = 2 * (p.depth + p.fat) * np.sqrt(np.maximum(1 - np.abs(x / wide) ** 2.5, 0))
    top = p.apex - 3.0 + rng.uniform(0.22, 0.45) * np.maximum(np.abs(x) - 4, 0)
    trunk *= np.clip((y - top) / 7.5, 0, 1) ** 0.4
    neck = (
        2 * 5.0 * np.sqrt(np.maximum(1 - (x / (4.6 + 0.5 * p.fat + 0.12 * np.maximum(y - p.apex + 4, 0) ** 2)) ** 2, 0))
    )
    body = np.where(y < p.apex + 6, np.maximum(trunk, neck), trunk)
    if p.breasts:
        sag, across = rng.uniform(2, 6), rng.uniform(6.0, 8.0)
        for side in (-1, 1):
            at = (side * (p.width * 0.56) + 4 * p.rotation, sag + rng.normal(0, 0.4))
            body = body + np.where(body > 0, ellipsoid(x, y, at, (across, across * 0.95, p.breasts / 2)), 0)
    return body


def _cage(p: Person, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chord of the cage's inside, and its half-width at each y."""
    s = np.clip((y - p.apex) / (5.0 - p.apex), 0, 1)
    reach = 4.8 + (p.width - 4.8) * np.sqrt(1 - (1 - s) ** 2.1) - 0.010 * np.maximum(y - 6, 0) ** 2
    depth = p.depth * (0.4 + 0.6 * np.sqrt(1 - (1 - s) ** 2))
    chord = 2 * depth * np.sqrt(np.maximum(1 - np.abs(x / reach) ** 2.6, 0))
    return np.where(y > p.apex, chord, 0), reach


def _lungs(p: Person, x: np.ndarray, y: np.ndarray, cage: np.ndarray) -> np.ndarray:
    """Cage less mediastinum and less what lies below the domes y = base + k (x - xc)² + k' z²."""
    top = np.clip((y - p.apex) / 4.0, 0, 1)
    medial = 5.0 - (5.0 - p.mediastinum) * np.sqrt(1 - (1 - top) ** 2)
    centre = 2.0 * p.rotation
    waist = 0.5 * np.sin((y - p.apex) / 3.1) * np.sign(x)  # the borders of the great vessels are not straight
    edge = np.clip((np.abs(x - centre) - medial + waist * top + 0.5) / 1.6, 0, 1)
    lung = cage * edge * (2 - edge)
    for side in (0, 1):
        middle = (-1, 1)[side] * p.width * 0.50
        rise = y - p.base[side] - p.dome[side] * (x - middle) ** 2
        half = np.sqrt(np.maximum(rise, 0) / 0.045)  # k' = 0.045: the sinus behind the dome reaches lower
        lung = np.where(
            (x > centre) == bool(side), np.maximum(lung - 2 * half - 2.5 * np.clip(rise / 0.4, 0, 1), 0), lung
        )
    return lung


def _heart(p: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Chords of the heart, and of aorta, caval vein and hila."""
    x = x - 2.5 * p.rotation * 3
    floor = (p.base[0] + p.base[1]) / 2
    h = p.heart
    left = ellipsoid(x, y, (h * 0.45, floor - 0.70 * h), (h * 1.5, h * 0.90, h * 1.1), p.heart_tilt)
    right = ellipsoid(x, y, (-h * 0.12, floor - 0.9 * h), (h * 0.80, h * 1.05, h))
    upper = ellipsoid(x, y, (h * 0.18, floor - 1.7 * h), (h * 0.66, h * 1.5, h * 0.8), -0.22)
    heart = np.maximum(np.maximum(left, right), upper)
    knob = ellipsoid(x, y, (1.9 + 0.3 * p.aorta, -6.6 + rng.normal(0, 0.5)), (p.aorta, p.aorta * 1.2, 2.2))
    down = np.abs(x - 2.0 - 0.12 * p.aorta) / (0.9 + 0.35 * p.aorta)
    down = np.where(y > -6, 2.4 * np.sqrt(np.maximum(1 - down**2, 0)), 0)
    great = np.maximum(knob, down)
    for side in (-1, 1):  # pulmonary arteries at the hila
        at = (side * rng.normal(3.6, 0.2), -1.6 - 0.5 * (side > 0) + rng.normal(0, 0.3))
        great = great + ellipsoid(x, y, at, (1.5, 2.3, 1.1 * p.vessels), side * -0.35)
    return heart, great


def _airways(p: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shift = rng.normal(0.1, 0.25)
    carina = -4.2 + rng.normal(0, 0.4)
    middle = shift + 3 * p.rotation
    trachea = np.where(y < carina, 2 * np.sqrt(np.maximum(0.9**2 - (x - middle) ** 2, 0)), 0)
    for side, slope in ((-1, 1.25), (1, 0.85)):
        off = np.abs((y - carina) - slope * side * (x - middle)) / np.hypot(1, slope)
        along = (y > carina - 0.5) & (side * (x - middle) > 0) & (y < carina + 3.2)
        trachea = np.maximum(trachea, np.where(along, 1.7 * np.sqrt(np.maximum(0.62**2 - off**2, 0)), 0))
    return trachea * np.clip((y + 21) / 1, 0, 1)


def _stomach(p: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gas below the left dome, sometimes with a level, and now and then gas in the bowel."""
    gas = np.zeros_like(x)
    fill, level = rng.random(), rng.uniform(0.3, 2.5)
    at = (rng.uniform(4, 8), p.base[1] + rng.uniform(2.0, 3.6))
    bubble = ellipsoid(x, y, at, (rng.uniform(1.5, 4), rng.uniform(1.0, 2.0), 3.0), rng.normal(0, 0.15))
    if fill < 0.65:
        gas = np.where(y < at[1] + level, bubble, 0)
    for _ in range(3):
        place, size, shown = (rng.uniform(-9, 10), rng.uniform(13, 19)), rng.uniform(0.7, 1.8), rng.random()
        if shown < 0.35:
            gas = gas + ellipsoid(x, y, place, (size, size * 0.8, 1.2))
    return gas


def _ribs(p: Person, x: np.ndarray, y: np.ndarray, reach: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Posterior arcs falling from the spine to the side, then anterior arcs falling on to the front.

    All ribs of a side share one shape, so the rib coordinate v = (y - shape(x)) / spacing is an integer on the middle
    of each rib and |∇v| turns a difference in v into a distance: one pass draws all of them.
    """
    step = np.hypot(x[0, 1] - x[0, 0], y[0, 1] - y[0, 0])
    first = p.apex - 0.2 + rng.normal(0, 0.3)
    total = np.zeros_like(x)
    jitter = rng.normal(0, 0.05, (2, 2, RIBS + 1))
    radius = rng.normal(0.62, 0.05)
    arch = rng.uniform(2.2, 3.6)
    for part, sign in ((0, -1), (1, 1)):
        shifted = x - sign * p.rotation * p.depth * 0.8
        t = np.minimum(np.abs(shifted) / (reach + 0.5), 1)
        wall = np.sqrt(1 - t**2)
        fall = p.rib_drop * t**1.7 - 1.0 * t * (1 - t)
        if part == 0:
            shape = fall + arch * (1 - wall)
        else:
            shape = p.rib_drop + arch + (arch + 0.7) * wall + (p.rib_drop * 0.8 + 1.5) * (1 - t)
        v = (y - first - shape) / p.ribs
        side = (x > 0).astype(int)
        index = np.clip(np.rint(v), 0, RIBS - (0 if part == 0 else 5)).astype(int)
        gy, gx = np.gradient(v)
        distance = np.abs(v - index - jitter[part, side, index]) / np.maximum(np.hypot(gx, gy) / step, 0.2)
        thick = radius * (1.0, 1.15)[part]
        seen = (t < 1) * np.clip((np.abs(shifted) - (1.2, 5.8)[part]) / (0.3, 1.5)[part], 0, 1)
        oblique = 1 / np.maximum(np.sqrt(1 - 0.93 * t**4), 0.3)
        total += tube(distance, thick) * (0.75, 0.34)[part] * seen * oblique
    return total


def _spine(p: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vertebral bodies between lucent discs, pedicles and spinous processes."""
    middle = p.curve * np.sin(y / 9 + rng.uniform(0, 6)) - p.rotation * 4
    phase = (y - p.apex) / p.ribs + rng.random()
    part = np.abs(phase - np.rint(phase))
    half = 1.45 + 0.02 * (y + 15)
    off = (x - middle) / (half * (0.93 + 0.14 * part * 2))
    body = 2.6 * np.sqrt(np.maximum(1 - np.abs(off) ** 3, 0)) * (0.55 + 0.45 * np.clip((0.42 - part) / 0.08, 0, 1))
    process = np.exp(-(((x - middle) / 0.35) ** 2) - ((part - 0.25) / 0.16) ** 2)
    pedicle = np.exp(-(((np.abs(x - middle) - 0.95) / 0.28) ** 2) - ((part - 0.1) / 0.12) ** 2)
    return 0.42 * body * np.clip((y + 22) / 2, 0, 1) + 0.5 * process + 0.4 * pedicle


def _clavicles(p: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    total = np.zeros_like(x)
    height = p.apex + rng.normal(3.0, 0.8)
    for side in (-1, 1):
        slope = rng.normal(0.16, 0.06)
        t = side * (x - 3.0 * p.rotation) - 1.8
        middle = height - slope * t - 0.6 * np.sin(t / 2.6) + rng.normal(0, 0.2)
        length = p.width + 1.5
        radius = 0.62 + 0.25 * np.exp(-t / 1.5).clip(0, 1)
        seen = np.clip(t / 0.4, 0, 1) * np.clip((length - t) / 0.6, 0, 1)
        total += 1.15 * tube((y - middle) / np.hypot(1, slope + 0.2), radius, 0.3) * seen
    return total


def _scapulae(p: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blades beside the upper ribs, with the spine of the blade and the humeral head."""
    total = np.zeros_like(x)
    inward = rng.uniform(-1.0, 3.0)
    for side in (-1, 1):
        u = side * x
        edge = p.width + 0.5 - inward + 0.25 * (y + 6)
        blade = np.clip((u - edge) / 0.3, 0, 1) * np.clip((edge + 7 - u) / 2, 0, 1)
        blade = blade * np.clip((1.5 - y - 0.5 * (u - edge)) / 0.8, 0, 1) * np.clip((y - p.apex - 2.0) / 1.5, 0, 1)
        border = tube(u - edge - 0.35, 0.4) * np.clip((1.5 - y) / 0.8, 0, 1) * np.clip((y - p.apex - 2.5) / 1.5, 0, 1)
        spine = (
            tube((y - p.apex - 3.4 + 0.25 * (u - edge)) / 1.03, 0.5) * (u > edge) * np.clip((edge + 8 - u) / 2, 0, 1)
        )
        head = ellipsoid(u, y, (p.width + 5.6, p.apex + 4.8), (2.3, 2.5, 0.5))
        head = np.maximum(head, ellipsoid(u, y, (p.width + 8.0, p.apex + 10.5), (1.3, 7.5, 0.8), -0.22))
        total += 0.3 * blade + 0.7 * border + 0.6 * spine + head
    return total


def _vessel_trees(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Arteries and veins as trees of tapering tubes that spread from the hila; path length in cm."""
    step = np.hypot(x[0, 1] - x[0, 0], y[0, 1] - y[0, 0])
    total = np.zeros(x.shape, np.float32)
    sides = np.repeat([-1.0, 1.0], 11)
    turn = np.concatenate([np.linspace(-1.35, 1.45, 11)] * 2) + rng.normal(0, 0.12, 22)
    px, py = sides * 3.6 + rng.normal(0, 0.3, 22), -1.5 + rng.normal(0, 0.7, 22)
    radius = 0.42 * np.exp(rng.normal(0, 0.15, 22) + 0.15 * turn)
    length = rng.uniform(2.4, 4.0, 22)
    # cm to pixels: the film's axes are the columns and rows of x, y up to a turn, a shift and a scale
    ux, uy = (x[0, 1] - x[0, 0]) / step**2, (y[0, 1] - y[0, 0]) / step**2
    for _ in range(5):
        bend = rng.normal(0, 0.09, len(px))
        points = np.linspace(0, 1, 16)[:, None]
        angle = turn + bend * points * length
        dx, dy = sides * np.cos(angle) * length / 16, np.sin(angle) * length / 16
        qx, qy = px + np.cumsum(dx, 0), py + np.cumsum(dy, 0)
        column = (qx - x[0, 0]) * ux + (qy - y[0, 0]) * uy
        row = (qy - y[0, 0]) * ux - (qx - x[0, 0]) * uy
        weight = np.broadcast_to(np.pi * radius**2 * length / 16 / step**2, column.shape)
        total += splat(row, column, weight, x.shape, max(float(np.mean(radius)) * 0.6 / step, 0.45))
        px, py = np.repeat(qx[-1], 2), np.repeat(qy[-1], 2)
        fork = np.tile([-1.0, 1.0], len(px) // 2) * rng.uniform(0.2, 0.6, len(px))
        sides, turn = np.repeat(sides, 2), np.repeat(angle[-1], 2) + fork
        radius, length = np.repeat(radius, 2) * rng.uniform(0.62, 0.78, len(px)), np.repeat(length, 2) * 0.78
    return total
