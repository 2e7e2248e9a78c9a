import math
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_infer.artifact.limits import LARGEST_VIEW, LONGEST_SIDE
from fastfcn_infer.artifact.procedure import SMALLEST, Frame, Procedure, Resize
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.views import View, framed, plan, resized

Size = tuple[int, int]

SIDES = st.integers(1, 5000)
LONG = Resize("long_side", 520, align_corners=True)
SHORT = Resize("short_side", 480, align_corners=False)
FIT = Resize("fit", 2048, align_corners=False, limit=512)
WHOLE = Procedure("whole", None)


def multi_eval_size(height: int, width: int, long_side: int) -> Size:
    """The original code's MultiEvalModule.forward (fastfcn_semantics.md, 4.1), its own order."""
    if height > width:
        return long_side, int(1.0 * width * long_side / height + 0.5)
    return int(1.0 * height * long_side / width + 0.5), long_side


def val_transform_size(height: int, width: int, short_size: int) -> Size:
    """The original code's _val_sync_transform (4.2)."""
    if width > height:
        return short_size, int(1.0 * width * short_size / height)
    return int(1.0 * height * short_size / width), short_size


def mmcv_size(height: int, width: int, scale: Size) -> Size:
    """mmcv's rescale_size with a tuple, and its _scale_size (4.4)."""
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)


def at_least_one(size: Size) -> Size:
    return max(1, size[0]), max(1, size[1])


@given(SIDES, SIDES)
def test_a_long_side_of_520_gives_the_sizes_of_the_original_code(height: int, width: int) -> None:
    expected = at_least_one(multi_eval_size(height, width, 520))
    assert resized(LONG, (height, width)) == expected


def test_sizes_that_a_factor_would_round_the_other_way_are_the_authors_too() -> None:
    # 319 * 520 / 464 is 357.5; 319 * (520 / 464) is less in floating point.
    assert int(319 * (520 / 464) + 0.5) == 357
    assert resized(LONG, (464, 319)) == (520, 358)
    assert resized(LONG, (735, 784)) == (488, 520)


@given(SIDES, SIDES)
def test_a_short_side_of_480_gives_the_sizes_of_the_validation_transform(
    height: int, width: int
) -> None:
    expected = val_transform_size(height, width, 480)
    assert resized(SHORT, (height, width)) == expected


@given(SIDES, SIDES)
def test_fitting_into_2048_and_512_gives_the_sizes_of_mmcv(height: int, width: int) -> None:
    expected = at_least_one(mmcv_size(height, width, (2048, 512)))
    assert resized(FIT, (height, width)) == expected


@pytest.mark.parametrize(
    ("resize", "picture", "expected"),
    [
        (LONG, (520, 520), (520, 520)),
        (LONG, (1040, 780), (520, 390)),
        (LONG, (260, 130), (520, 260)),
        (LONG, (10000, 1), (520, 1)),
        (SHORT, (480, 640), (480, 640)),
        (SHORT, (960, 961), (480, 480)),
        (SHORT, (100, 50), (960, 480)),
        (FIT, (512, 683), (512, 683)),
        (FIT, (1024, 2048), (512, 1024)),
        (FIT, (100, 1000), (205, 2048)),
    ],
)
def test_sizes_that_can_be_computed_by_hand(resize: Resize, picture: Size, expected: Size) -> None:
    assert resized(resize, picture) == expected


@given(st.sampled_from([LONG, SHORT, FIT]), SIDES, SIDES)
def test_a_picture_lying_on_its_side_gets_the_size_lying_on_its_side(
    resize: Resize, height: int, width: int
) -> None:
    assert resized(resize, (height, width)) == resized(resize, (width, height))[::-1]


@given(SIDES, SIDES)
def test_without_a_rule_a_picture_is_seen_at_its_own_size_padded_to_the_smallest(
    height: int, width: int
) -> None:
    canvas = (max(height, SMALLEST), max(width, SMALLEST))
    expected = (View(0, 0, height, width, (height, width), canvas),)
    assert plan(WHOLE, (None, None), (height, width)) == expected


@given(SIDES, SIDES, st.integers(33, 600), st.integers(33, 600))
def test_a_fixed_graph_is_filled_as_far_as_the_aspect_ratio_allows_and_never_enlarges(
    height: int, width: int, fixed_height: int, fixed_width: int
) -> None:
    (view,) = plan(WHOLE, (fixed_height, fixed_width), (height, width))
    assert view.canvas == (fixed_height, fixed_width)
    if height <= fixed_height and width <= fixed_width:
        assert view.size == (height, width)
    else:
        factor = min(fixed_height / height, fixed_width / width)
        for found, side in zip(view.size, (height, width), strict=True):
            assert math.isclose(found, side * factor, abs_tol=0.5 + 1e-6) or found == 1
        assert view.size[0] == fixed_height or view.size[1] == fixed_width


def test_one_fixed_side_leaves_the_other_free() -> None:
    (view,) = plan(WHOLE, (64, None), (128, 400))
    assert (view.size, view.canvas) == ((64, 200), (64, 200))
    (view,) = plan(WHOLE, (None, 96), (50, 40))
    assert (view.size, view.canvas) == ((50, 40), (50, 96))


def test_the_largest_view_is_allowed_and_one_more_row_is_an_error_that_names_both_sizes() -> None:
    side = math.isqrt(LARGEST_VIEW)
    plan(WHOLE, (None, None), (side, side))
    with pytest.raises(ImageError, match=f"{side + 1} x {side}.*at most {LARGEST_VIEW}"):
        plan(WHOLE, (None, None), (side + 1, side))
    with pytest.raises(ImageError, match="Crop it first"):
        plan(Procedure("whole", SHORT), (None, None), (1, 10**8))


def test_a_side_longer_than_any_file_is_refused_though_the_network_would_see_it_reduced() -> None:
    plan(Procedure("whole", LONG), (None, None), (1, LONGEST_SIDE))
    with pytest.raises(ImageError, match=rf"1 x {LONGEST_SIDE + 1}.*at most {LONGEST_SIDE}"):
        plan(Procedure("whole", LONG), (None, None), (1, LONGEST_SIDE + 1))


def paddleseg(rule: Any, size: int, **more: Any) -> Resize:
    return Resize(rule, size, align_corners=False, arithmetic="paddleseg", **more)


@pytest.mark.parametrize(
    ("resize", "picture", "expected"),
    [
        (paddleseg("exact", 512, width=1024), (3, 5), (512, 1024)),
        (paddleseg("exact", 500, width=1000, divisor=32), (3, 5), (512, 1024)),
        # 2.5 rounds to the even 2, where the other dialects make 3 of it.
        (paddleseg("long_side", 5), (4, 8), (2, 5)),
        (paddleseg("long_side", 5, divisor=4), (4, 8), (4, 8)),
        (paddleseg("short_side", 100), (50, 300), (100, 600)),
        (paddleseg("short_side", 100, limit=300), (50, 300), (50, 300)),
        (paddleseg("fit", 1024, limit=512), (512, 512), (512, 512)),
        (paddleseg("fit", 1024, limit=512), (100, 400), (256, 1024)),
        (paddleseg("long_within", 100, limit=200), (50, 150), (50, 150)),
        (paddleseg("long_within", 100, limit=200), (50, 400), (25, 200)),
        (paddleseg("long_within", 100, limit=200), (50, 20), (100, 40)),
        (paddleseg("long_within", 100), (50, 4000), (50, 4000)),
    ],
)
def test_paddleseg_s_sizes_can_be_computed_by_hand(
    resize: Resize, picture: Size, expected: Size
) -> None:
    assert resized(resize, picture) == expected


@given(SIDES, SIDES, st.floats(0.1, 10))
def test_a_frame_of_an_aspect_ratio_holds_the_picture_and_grows_one_side_only(
    height: int, width: int, ratio: float
) -> None:
    found = framed(Frame(aspect_ratio=ratio), (height, width))
    assert found[0] == height or found[1] == width
    assert found[0] >= height
    assert found[1] >= width
    grown = max(found[0] - height, found[1] - width)
    # Cut to whole pixels, so up to one short of the ratio.
    assert grown == 0 or abs(found[1] - found[0] * ratio) <= max(1.0, ratio)


def test_a_picture_is_framed_then_resized_then_padded() -> None:
    procedure = Procedure(
        "whole", paddleseg("long_side", 100), Frame(aspect_ratio=2.0), Frame(64, 128)
    )
    (view,) = plan(procedure, (None, None), (100, 150))
    assert view == View(0, 0, 100, 150, (50, 100), (64, 128), frame=(100, 200))


def test_a_picture_larger_than_its_frame_is_an_error_that_names_both_sizes() -> None:
    procedure = Procedure("whole", None, canvas=Frame(100, 120))
    assert plan(procedure, (None, None), (100, 120))[0].canvas == (100, 120)
    with pytest.raises(ImageError, match=r"100 x 120 .* 101 x 120"):
        plan(procedure, (None, None), (101, 120))


def test_a_canvas_larger_than_a_fixed_graph_is_reduced_with_its_picture() -> None:
    procedure = Procedure("whole", None, canvas=Frame(200, 200))
    (view,) = plan(procedure, (100, 100), (100, 200))
    assert (view.size, view.canvas) == ((50, 100), (100, 100))


NUMBERS = st.one_of(st.integers(1, 3000), st.sampled_from([2**20, 2**26, 10**9, 2**31 - 1]))
RATIOS = st.one_of(
    st.floats(0.1, 10),
    st.sampled_from([5e-324, 1e-300, 1e-9, 1e-3, 1e3, 1e9, 1.7e308]),
)
FRAMES = st.one_of(
    st.none(),
    st.builds(Frame, NUMBERS, NUMBERS),
    st.builds(lambda ratio: Frame(aspect_ratio=ratio), RATIOS),
)
ANY_SIDE = st.one_of(st.integers(1, 3000), st.sampled_from([10**5, 2**20, 2**20 + 1, 10**8]))


@st.composite
def resizes(draw: st.DrawFn) -> Resize | None:
    rule: Any = draw(
        st.sampled_from([None, "long_side", "short_side", "fit", "long_within", "exact"])
    )
    if rule is None:
        return None
    size, other, divisor = draw(NUMBERS), draw(NUMBERS), draw(NUMBERS)
    if rule == "exact":
        return paddleseg(rule, size, width=other, divisor=divisor)
    if rule == "long_within":
        return paddleseg(rule, min(size, other), limit=max(size, other), divisor=divisor)
    limit = other if rule == "fit" else None
    if draw(st.booleans()):
        return Resize(rule, size, draw(st.booleans()), limit=limit)
    limit = other if rule == "short_side" and draw(st.booleans()) else limit
    return paddleseg(rule, size, limit=limit, divisor=divisor)


@given(
    st.builds(Procedure, st.just("whole"), resizes(), FRAMES, FRAMES),
    st.tuples(st.none() | NUMBERS, st.none() | NUMBERS),
    st.tuples(ANY_SIDE, ANY_SIDE),
)
def test_whatever_picture_meets_whatever_procedure_the_plan_is_bounded_or_an_image_error(
    procedure: Procedure, shape: tuple[int | None, int | None], picture: Size
) -> None:
    tracemalloc.start()
    try:
        views = plan(procedure, shape, picture)
    except ImageError as error:
        assert f"{picture[0]} x {picture[1]}" in str(error) or "pads pictures to" in str(error)
        return
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20  # bytes: nothing is made before it is found small enough
    for view in views:
        for size in (view.size, view.canvas, view.frame or view.size):
            assert min(size) >= 1
            assert max(size) <= LONGEST_SIDE
            assert size[0] * size[1] <= LARGEST_VIEW
        assert view.size[0] <= view.canvas[0]
        assert view.size[1] <= view.canvas[1]


@pytest.mark.parametrize(
    ("procedure", "picture", "asked"),
    [
        (Procedure("whole", SHORT, Frame(aspect_ratio=1.0)), (1, 100000), "padded to 100000 x"),
        (Procedure("whole", SHORT, Frame(aspect_ratio=1e-9)), (10, 10), "padded to 10000000000 x"),
        (
            Procedure("whole", SHORT, Frame(aspect_ratio=1e9)),
            (10, 10),
            "padded to 10 x 1000000000",
        ),
        (Procedure("whole", None, canvas=Frame(aspect_ratio=1e9)), (10, 10), "network as 33 x 1"),
        (Procedure("whole", None, canvas=Frame(10**5, 10**5)), (10, 10), "as 100000 x 100000"),
        (Procedure("whole", replace(LONG, size=10**6)), (10, 10), "as 1000000 x 1000000"),
        (Procedure("whole", replace(SHORT, size=10**9)), (2, 1), "as 2000000000 x 1000000000"),
    ],
)
def test_an_error_about_a_size_says_what_was_asked_for_the_limit_and_what_to_do(
    procedure: Procedure, picture: Size, asked: str
) -> None:
    with pytest.raises(ImageError) as caught:
        plan(procedure, (None, None), picture)
    message = str(caught.value)
    assert message.startswith(f"A picture of {picture[0]} x {picture[1]} pixels would be ")
    assert asked in message
    assert f"at most {LARGEST_VIEW} pixels and {LONGEST_SIDE} a side" in message
    assert "Crop it first" in message
    assert "manifest" in message


def test_a_thin_picture_is_not_refused_for_a_size_that_a_fixed_graph_never_makes_of_it() -> None:
    (view,) = plan(Procedure("whole", SHORT), (64, 64), (1, 200_000))
    assert (view.size, view.canvas) == ((1, 64), (64, 64))
