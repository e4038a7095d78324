"""A bar for the student: a ridge regression from plain geometric features of the cloud.

Whatever these 32 numbers tell about the teacher's prefix needs no network to find.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from stages.geometry.pointops import gather_points, nearest_neighbors

NUM_FEATURES = 32
HEIGHT_BINS, DISTANCE_BINS = 8, 8
NUM_PATCHES, PATCH_SIZE = 64, 32
# Of a patch's variance, the share across its plane; flatter ones count as plane.
FLAT = 0.01
PENALTIES = (1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)


def geometric_features(points: Tensor) -> Tensor:
    """Describe clouds (B, N, 3), camera-frame metres, y down: (B, 32).

    Extents, mean, deviation (9); logarithms of volume and of the principal axes (4); histograms of
    height and of distance from the camera over their range (16); shares of flat patches that are
    horizontal, upright or neither (3).
    """
    low, high = points.amin(dim=1), points.amax(dim=1)
    extent = (high - low).clamp(min=1e-6)
    mean, std = points.mean(dim=1), points.std(dim=1)
    axes = torch.linalg.eigvalsh(_covariance(points)).clamp(min=1e-12).log()
    volume = extent.log().sum(dim=1, keepdim=True)
    height = _histogram((points[..., 1] - low[:, None, 1]) / extent[:, None, 1], HEIGHT_BINS)
    distance = points.norm(dim=-1)
    distance = _histogram(distance / distance.amax(dim=1, keepdim=True), DISTANCE_BINS)
    return torch.cat([extent, mean, std, volume, axes, height, distance, _planes(points)], dim=1)


def _covariance(points: Tensor) -> Tensor:
    centred = points - points.mean(dim=-2, keepdim=True)
    return centred.transpose(-1, -2) @ centred / points.shape[-2]


def _histogram(values: Tensor, bins: int) -> Tensor:
    """Shares (B, bins) of values (B, N) from 0 to 1."""
    index = (values * bins).long().clamp(0, bins - 1)
    counts = torch.zeros(len(values), bins, device=values.device)
    return counts.scatter_add_(1, index, torch.ones_like(values)) / values.shape[1]


def _planes(points: Tensor) -> Tensor:
    """Shares (B, 3) of patches that are flat and horizontal, flat and upright, or not flat."""
    normals, flat = flat_patches(points)
    horizontal = normals[..., 1].abs() > 0.8  # the part along y
    upright = normals[..., 1].abs() < 0.2
    shares = [flat & horizontal, flat & upright, ~flat]
    return torch.stack([share.float().mean(dim=1) for share in shares], dim=1)


def flat_patches(points: Tensor) -> tuple[Tensor, Tensor]:
    """Normals (B, 64, 3) of patches of clouds (B, N, 3), and which patches are flat (B, 64) bool.

    The first points are the patches' centres, so points must come in random order.
    """
    centers = points[:, :NUM_PATCHES]
    _, indices = nearest_neighbors(centers, points, PATCH_SIZE)
    values, vectors = torch.linalg.eigh(_covariance(gather_points(points, indices)))
    return vectors[..., 0], values[..., 0] < FLAT * values.sum(dim=-1)


def patch_features(points: Tensor, chosen: Tensor, indices: Tensor) -> Tensor:
    """Describe patches of clouds (B, N, 3), camera-frame metres: (B, G, 45).

    `chosen` (B, G) are the centres' places in the cloud, `indices` (B, G, K) those of the patches' points. Where
    it is and how far (4), its logarithmic principal extents (3), how its normal lies (6 products), and
    the cloud's own 32.
    """
    centers = gather_points(points, chosen)
    values, vectors = torch.linalg.eigh(_covariance(gather_points(points, indices)))
    normal = vectors[..., 0]
    pairs = [normal[..., i] * normal[..., j] for i in range(3) for j in range(i, 3)]
    whole = geometric_features(points)[:, None].expand(-1, centers.shape[1], -1)
    return torch.cat(
        [
            centers,
            centers.norm(dim=-1, keepdim=True),
            values.clamp(min=1e-12).log(),
            torch.stack(pairs, dim=-1),
            whole,
        ],
        dim=-1,
    )


def ridge_prediction(train: Tensor, targets: Callable[[slice], Tensor], held: Tensor) -> Tensor:
    """Fit targets (N, D) on features (N, F) by ridge regression, and predict for `held` (M, F).

    `targets` gives them a slice of rows at a time. Of the penalties the best on every fifth
    training row is taken.
    """
    mean, std = train.double().mean(dim=0), train.double().std(dim=0).clamp(min=1e-9)

    def design(features: Tensor) -> Tensor:
        scaled = (features.double() - mean) / std
        return torch.cat([scaled, torch.ones_like(scaled[:, :1])], dim=1)

    x, held_x = design(train), design(held)
    fitted = torch.arange(len(x), device=x.device) % 5 != 0
    y = targets(slice(None)).double().to(x.device)
    errors = [
        (x[~fitted] @ _solve(x[fitted], y[fitted], penalty) - y[~fitted]).square().sum().item()
        for penalty in PENALTIES
    ]
    best = PENALTIES[errors.index(min(errors))]
    return held_x @ _solve(x, y, best)


def _solve(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    weight = penalty * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weight[-1, -1] = 0  # the constant is free
    return torch.linalg.solve(x.T @ x + weight, x.T @ y)
