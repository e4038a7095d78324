"""`inspect FILE.sens`: header, frames, first and last pose, and with `--verify` every payload."""

import io
from collections import Counter
from pathlib import Path

from PIL import Image

from stages.checking.findings import Report
from stages.checking.said import counts, gigabytes
from stages.sources.sens import SensReader, check_color, decode_depth
from stages.sources.sens_format import SensFrame, SensFrameError


def inspect_sens(path: Path, *, verify: bool) -> Report:
    """Say what a `.sens` holds and return whether it is whole."""
    report = Report(all_read=verify)
    with SensReader(path) as sens:
        header = sens.header
        report.fact("file", f"{path}, {gigabytes(sens.size_bytes)}")
        report.fact("sensor", header.sensor_name)
        width, height = header.color_size
        report.fact("colour", f"{width} x {height} {header.color_compression}")
        width, height = header.depth_size
        report.fact("depth", f"{width} x {height} {header.depth_compression}")
        report.fact("depth shift", f"{header.depth_shift:g} units per metre")
        report.fact("colour intrinsics", header.color_intrinsics)
        report.fact("colour extrinsics", header.color_extrinsics)
        report.fact("depth intrinsics", header.depth_intrinsics)
        report.fact("depth extrinsics", header.depth_extrinsics)
        first, last, lost, problems = _walk(sens, verify)
        report.fact(
            "frames", f"{sens.num_whole_frames} whole of {header.num_frames}, {lost} poses lost"
        )
        if first and last:
            report.fact("first pose", first.camera_to_world)
            report.fact("last pose", last.camera_to_world)
        imu, rest = sens.trailing()
        if imu is not None:
            report.fact("after them", f"{imu} IMU frames, {rest} bytes")
        if problems:
            report.found("", f"payloads that do not decode: {counts(problems)}")
        if sens.damage:
            report.found("", sens.damage)
    return report


def _walk(
    sens: SensReader, verify: bool
) -> tuple[SensFrame | None, SensFrame | None, int, Counter[str]]:
    """Return the first and last frame, the number of lost poses, and bad payloads by reason."""
    first = last = None
    lost, problems = 0, Counter[str]()
    for frame in sens.walk():
        first, last = first or frame, frame
        lost += not frame.pose_valid
        if verify:
            problems.update(_payload_problems(sens, frame))
    return first, last, lost, problems


def _payload_problems(sens: SensReader, frame: SensFrame) -> list[str]:
    color, depth = sens.payload(frame)
    problems = []
    try:
        check_color(color, sens.header)
        _decode(color)
    except SensFrameError as error:
        problems.append(error.reason)
    try:
        decode_depth(depth, sens.header)
    except SensFrameError as error:
        problems.append(error.reason)
    return problems


def _decode(color: bytes) -> None:
    """Raises SensFrameError("corrupt_color") if an image does not decode."""
    try:
        with Image.open(io.BytesIO(color)) as image:
            image.load()
    # Whatever Pillow makes of bytes that are no picture.
    except (ValueError, OSError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise SensFrameError("corrupt_color", f"does not decode: {error}") from None
