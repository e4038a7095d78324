"""What a teacher sees, in numbers: CLIP's sizes and offsets."""

import pytest

from stages.geometry.teacher_window import TeacherWindow, teacher_window


def test_scannets_frames_as_clip_sees_them() -> None:
    window = teacher_window(1296, 968, 224, "center")
    assert window == TeacherWindow(
        299, 224, 38, 0, 224
    )  # 299.9 truncated; 37.5 rounded half to even
    (x, y), (half_x, half_y) = window.within(1296, 968)
    assert y == pytest.approx(483.5)
    assert half_y == pytest.approx(484)
    assert half_x == pytest.approx(224 / 2 * 1296 / 299)
    assert x == pytest.approx((38 + 112) * 1296 / 299 - 0.5)


def test_squash_sees_all() -> None:
    middle, half = teacher_window(640, 480, 224, "squash").within(640, 480)
    assert (middle, half) == ((319.5, 239.5), (320, 240))


def test_a_square_of_the_right_size_is_as_it_is() -> None:
    assert teacher_window(224, 224, 224, "center") == TeacherWindow(224, 224, 0, 0, 224)
