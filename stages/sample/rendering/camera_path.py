"""A hand-held camera that walks round a room and looks at one thing after another."""

import numpy as np

from stages.geometry.meshes import Floats
from stages.sample.rooms.placing import Room
from stages.sample.things.primitives import rotation

HEAD_M, CLEARANCE_M, GRID_M = (1.35, 1.70), 0.35, 0.1
NUM_STOPS = 5
STEEPEST = 0.9  # how far down a person looks, metres a metre


def walk(room: Room, num_frames: int, generator: np.random.Generator) -> Floats:
    """Return camera-to-room poses (F, 4, 4), OpenCV axes: x right, y down, z forward."""
    free = _free_spots(room)
    stops = free[_far_apart(free, min(NUM_STOPS, len(free)), generator)]
    targets = _targets(room, generator)
    when = np.linspace(0, 1, num_frames, endpoint=False)
    eyes = np.empty((num_frames, 3))
    eyes[:, :2] = _closed_curve(stops, when)
    nearest = np.linalg.norm(eyes[:, None, :2] - free, axis=2).argmin(axis=1)
    off = np.linalg.norm(eyes[:, :2] - free[nearest], axis=1) > GRID_M
    eyes[off, :2] = free[nearest[off]]
    eyes[:, :2] = _smooth(eyes[:, :2])
    eyes[:, 2] = generator.uniform(*HEAD_M) + 0.05 * _sway(when, generator)
    gaze = _closed_curve(targets, when)
    gaze += 0.12 * np.stack([_sway(when, generator) for _ in range(3)], axis=1)
    away = np.linalg.norm(gaze[:, :2] - eyes[:, :2], axis=1)
    gaze[:, 2] = np.maximum(gaze[:, 2], eyes[:, 2] - np.maximum(away, 0.5) * STEEPEST)
    roll = 2.5 * _sway(when, generator)
    return np.stack(
        [
            look_at(eye, at) @ rotation("z", float(r))
            for eye, at, r in zip(eyes, gaze, roll, strict=True)
        ]
    )


def look_at(eye: Floats, target: Floats) -> Floats:
    """The (4, 4) pose of an upright camera at `eye` (3,) that looks at `target` (3,)."""
    forward = (target - eye) / max(float(np.linalg.norm(target - eye)), 1e-6)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    length = float(np.linalg.norm(right))
    right = right / length if length > 1e-6 else np.array([1.0, 0.0, 0.0])
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    return pose


def _free_spots(room: Room) -> Floats:
    """Floor positions (N, 2) to stand at: away from walls and furniture; tall ones only, if need be."""
    width, depth, _ = room.size
    xs = np.arange(CLEARANCE_M, width - CLEARANCE_M + 1e-9, GRID_M)
    ys = np.arange(CLEARANCE_M, depth - CLEARANCE_M + 1e-9, GRID_M)
    spots = np.stack(np.meshgrid(xs, ys, indexing="ij"), axis=-1).reshape(-1, 2)
    shell = ("wall", "floor", "ceiling")
    boxes = [placed.bounds for placed in room.objects if placed.label not in shell]
    tall = [b for b in boxes if b[1, 2] > HEAD_M[0] - 0.25 and b[0, 2] < HEAD_M[1] + 0.15]
    for obstacles, clearance in ((boxes, 0.1), (tall, CLEARANCE_M)):
        clear = np.ones(len(spots), bool)
        for low, high in obstacles:
            near = (spots > low[:2] - clearance) & (spots < high[:2] + clearance)
            clear &= ~near.all(axis=1)
        if clear.sum() > 4 * NUM_STOPS:
            return spots[clear]
    return np.array([[width / 2, depth / 2]])


def _far_apart(spots: Floats, count: int, generator: np.random.Generator) -> list[int]:
    """Pick spots far from one another, in the order of a walk round their middle."""
    chosen = [int(generator.integers(len(spots)))]
    distance = np.full(len(spots), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.linalg.norm(spots - spots[chosen[-1]], axis=1))
        chosen.append(int((distance * generator.uniform(0.6, 1, len(spots))).argmax()))
    around = spots[chosen] - spots[chosen].mean(0)
    return [chosen[i] for i in np.argsort(np.arctan2(around[:, 1], around[:, 0]))]


def _targets(room: Room, generator: np.random.Generator) -> Floats:
    """Middles (N, 3) of things worth looking at, in the order of a turn round the room."""
    shell = ("wall", "floor", "ceiling")
    middles = [
        p.bounds.mean(0) for p in room.objects if p.label not in shell and p.piece.size.max() > 0.3
    ]
    middles.append(room.size * (0.5, 0.5, 0.1))
    targets = np.array(middles)
    around = targets - room.size / 2
    turn = np.arctan2(around[:, 1], around[:, 0]) * generator.choice((-1.0, 1.0))
    targets = targets[np.argsort(turn)]
    return np.roll(targets, int(generator.integers(len(targets))), axis=0)


def _closed_curve(stops: Floats, when: Floats) -> Floats:
    """Pass through all stops (N, D) and back, easing in and out at each: (F, D)."""
    position = when * len(stops)
    index = position.astype(int)
    share = (1 - np.cos(np.pi * (position - index))) / 2
    here, following = stops[index % len(stops)], stops[(index + 1) % len(stops)]
    curve: Floats = here + share[:, None] * (following - here)
    return curve


def _smooth(path: Floats, reach: int = 4) -> Floats:
    """Average each place (F, D) of a closed path with its neighbours."""
    shifted = np.stack([np.roll(path, shift, axis=0) for shift in range(-reach, reach + 1)])
    return shifted.mean(axis=0)


def _sway(when: Floats, generator: np.random.Generator) -> Floats:
    """A smooth wobble (F,) of magnitude about 1."""
    waves = [np.sin(2 * np.pi * (n * when + generator.random())) / n**0.5 for n in (3, 7, 17)]
    return np.stack(waves).sum(axis=0) / 1.6
