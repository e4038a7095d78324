"""Format and size of a JPEG or PNG from its markers alone, without decoding a pixel."""

import struct

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
# Start-of-frame markers carry the size; C4, C8 and CC share their range but are other segments.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


def image_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of an encoded image, and check that it starts and ends as it should.

    Raises ValueError if `data` is neither JPEG nor PNG, is cut off, or states no size.
    """
    if data.startswith(JPEG_START):
        # Some encoders pad the end with zeros.
        if not data.rstrip(b"\0").endswith(JPEG_END):
            raise ValueError("JPEG is cut off: no end marker")
        return _jpeg_size(data)
    if data.startswith(PNG_START):
        if not data.endswith(PNG_END):
            raise ValueError("PNG is cut off: no end chunk")
        return _png_size(data)
    raise ValueError(f"neither JPEG nor PNG: starts with {data[:8].hex() or 'nothing'}")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = len(JPEG_START)
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise ValueError(f"JPEG is corrupt: no marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _MARKERS_WITHOUT_LENGTH:
            position += 2
        elif marker in _FRAME_MARKERS and position + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, position + 5)
            return _positive(width, height)
        else:
            (length,) = struct.unpack_from(">H", data, position + 2)
            position += 2 + max(2, length)
    raise ValueError("JPEG is corrupt: it states no size")


def _png_size(data: bytes) -> tuple[int, int]:
    if len(data) < 24 or data[12:16] != b"IHDR":
        raise ValueError("PNG is corrupt: no header chunk")
    return _positive(*struct.unpack_from(">II", data, 16))


def _positive(width: int, height: int) -> tuple[int, int]:
    if width == 0 or height == 0:
        raise ValueError(f"image is empty: {width} x {height}")
    return width, height
