"""Takes a simulated head to a scanner: pose, contrast, voxels, field, noise, orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from nibabel import orientations
from scipy import ndimage
from scipy.spatial.transform import Rotation

from neurofm.cohorts.phantom_anatomy import Anatomy
from neurofm.cohorts.phantom_fields import random_field
from neurofm.cohorts.phantom_sites import Site
from neurofm.cohorts.phantom_surroundings import surround
from neurofm.seeds import random_stream
from neurofm.volumes.volume import Volume

Array = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

# Centre in template mm and extent in mm of what a scanner takes in: right, anterior, superior.
_STRIPPED_VIEW = ((0.0, -17.0, 5.0), (180.0, 216.0, 192.0))
_WHOLE_VIEW = ((0.0, -12.0, -8.0), (204.0, 252.0, 240.0))


@dataclass(frozen=True, eq=False)
class Acquisition:
    """One scan as a scanner stores it, with the truth that no scanner knows.

    Attributes:
        image: int16 voxels in the site's own axis order, with the affine that sets them upright.
        brain_mask: bool, on the same grid: brain with its fluid.
    """

    image: Volume
    brain_mask: Volume


def acquire(
    anatomy: Anatomy, site: Site, spacing_mm: float, stripped: bool, stream: np.random.Generator
) -> Acquisition:
    """Scan a head once.

    Args:
        anatomy: the brain; its surroundings are made to fit unless `stripped`.
        site: the scanner.
        spacing_mm: voxel size the site's protocol multiplies.
        stripped: everything outside the brain is set to 0.
        stream: pose, field and noise of this session.
    """
    pose = _draw_pose(stream)
    grid, affine = _upright_grid(anatomy, site, spacing_mm, stripped, pose)
    voxel_mm = np.asarray(site.voxel) * spacing_mm
    placing = np.linalg.inv(pose) @ affine

    def seen(array: Array, origin_mm: tuple[float, float, float], step_mm: float) -> Array:
        blur = np.sqrt(np.maximum(voxel_mm**2 - step_mm**2, 0) / 12) / step_mm
        smooth = ndimage.gaussian_filter(array, blur, mode="nearest", truncate=3.0)
        to_index = np.diag([1 / step_mm] * 3 + [1.0])
        to_index[:3, 3] = -np.asarray(origin_mm) / step_mm
        return np.asarray(
            ndimage.affine_transform(smooth, to_index @ placing, output_shape=grid, order=1),
            np.float32,
        )

    brain = seen(anatomy.brain, anatomy.origin_mm, anatomy.spacing_mm)
    signal = seen(_contrast(anatomy, site), anatomy.origin_mm, anatomy.spacing_mm)
    if not stripped:
        around = surround(anatomy)
        outer = seen(around.intensity, around.origin_mm, around.spacing_mm)
        signal += (1 - brain) * outer * np.float32(site.fat)
    mask = brain > 0.5
    # Larger voxels hold more signal; half of the gain is spent on a faster protocol.
    noise = site.noise / np.sqrt(max(spacing_mm, 1.0))
    image = _detect(signal, site, noise, stream)
    if stripped:
        image *= mask
    return Acquisition(
        _as_stored(np.rint(image).astype(np.int16), affine, site),
        _as_stored(mask, affine, site),
    )


def _contrast(anatomy: Anatomy, site: Site) -> Array:
    """T1 intensity, white matter = 1, zero outside the brain."""
    grey = site.grey + (1 - site.grey) * anatomy.traits.contrast_loss
    scar = 0.85 * site.fluid + 0.15 * grey
    texture = anatomy.texture * np.float32((1 - grey) / 0.25)
    image = np.float32(grey) * anatomy.grey + anatomy.white + texture
    image += np.float32(site.fluid) * anatomy.fluid + np.float32(scar) * anatomy.lesion
    return image


def _detect(signal: Array, site: Site, noise: float, stream: np.random.Generator) -> Array:
    """Grey scale, receive field and Rician noise, in stored units."""
    # The highest signal keeps its place, so that gamma bends the scale without stretching it.
    top = np.float32(1.3)
    signal = top * (np.clip(signal, 0, top) / top) ** np.float32(site.gamma)
    signal *= _receive_field(signal.shape, site, stream)
    channels = stream.standard_normal((2, *signal.shape), dtype=np.float32)
    channels *= np.float32(noise)
    noisy = np.hypot(signal + channels[0], channels[1])
    return np.asarray(noisy * np.float32(site.gain), np.float32)


def _receive_field(shape: tuple[int, ...], site: Site, stream: np.random.Generator) -> Array:
    """A smooth factor around 1: two thirds the coil's own, one third the day's."""
    box = ((-1.0, 1.0),) * 3
    x, y, z = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
    coil = random_field(random_stream("phantom", "coil", site.name), 1, box, 1.0, 0.9 * site.bias)
    day = random_field(stream, 1, box, 1.0, 0.45 * site.bias)
    return np.asarray(np.exp(coil.at((x, y, z))[0] + day.at((x, y, z))[0]), np.float32)


def _draw_pose(stream: np.random.Generator) -> Matrix:
    """How the head lies in the scanner: head mm -> scanner mm."""
    pose = np.eye(4)
    degrees = stream.normal(0.0, (5.0, 2.5, 2.5))
    pose[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    pose[:3, 3] = stream.normal(0.0, (3.0, 6.0, 8.0))
    return pose


def _upright_grid(
    anatomy: Anatomy, site: Site, spacing_mm: float, stripped: bool, pose: Matrix
) -> tuple[tuple[int, int, int], Matrix]:
    """The scanner's voxels before they are stored: shape and affine, closest to RAS."""
    centre, extent_mm = _STRIPPED_VIEW if stripped else _WHOLE_VIEW
    voxel_mm = np.asarray(site.voxel) * spacing_mm
    x, y, z = (int(np.ceil(size / v)) for size, v in zip(extent_mm, voxel_mm, strict=True))
    affine = np.eye(4)
    tilt = Rotation.from_euler("x", site.oblique_degrees, degrees=True).as_matrix()
    affine[:3, :3] = tilt @ np.diag(voxel_mm)
    middle = pose[:3, :3] @ (np.asarray(centre) * anatomy.warp.scale) + pose[:3, 3]
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2)
    return (x, y, z), affine


def _as_stored(array: npt.NDArray[np.generic], affine: Matrix, site: Site) -> Volume:
    """Reorder an upright array the way the site's scanner writes its axes."""
    wanted = orientations.axcodes2ornt(tuple(site.axes))
    change = orientations.ornt_transform(orientations.axcodes2ornt(("R", "A", "S")), wanted)
    stored = np.ascontiguousarray(orientations.apply_orientation(array, change))
    return Volume(stored, affine @ orientations.inv_ornt_aff(change, array.shape))
