"""Pictures of other than three bands: what is read, what the network is fed, what people see."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp

from fastfcn_infer import Failed, ImageError, Procedure, Segmentation, Segmenter, Windows
from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.inference.multiband import read_pixels, visible, with_channels_of
from fastfcn_infer.inference.pipeline import Job
from models import tiny_artifact, tiny_model, tiny_output
from rasters import PLACE, labels_of, photograph, write_tiff

COUNTS = (1, 2, 4, 6, 13)


def bands(channels: int, size: tuple[int, int] = (41, 53), seed: int = 0) -> NDArray[np.uint8]:
    planes = [photograph(*size, seed=seed + index)[:, :, 0] for index in range(channels)]
    return np.stack(planes, axis=-1)


def given(channels: int, white: float | None = None) -> Input:
    half = (0.5,) * channels
    return Input("image", half, half, half, white=white)


def of_type(kind: str, picture: NDArray[np.uint8]) -> NDArray[Any]:
    """The same picture in another type, by the rules of arrays."""
    factor = {"uint8": 1.0, "uint16": 257.0, "float32": 1 / 255}[kind]
    return np.asarray(picture * factor).astype(kind)


def scaled(values: NDArray[Any], white: float) -> NDArray[np.float64]:
    """What a network of mean and deviation 0.5 is fed, the textbook way."""
    return ((values.astype(np.float64) / white - 0.5) / 0.5).transpose(2, 0, 1)


def opened(folder: Path, channels: int, white: float | None = None) -> Segmenter:
    tiny_artifact(folder, tiny_model(5, channels=channels, white=white))
    return Segmenter.from_pretrained(folder, threads=1, backend="onnx_runtime")


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segmenter]:
    with opened(tmp_path_factory.mktemp("model") / "six", 6) as found:
        yield found


@pytest.mark.parametrize("channels", COUNTS)
def test_the_labels_are_those_of_the_network_on_the_normalised_bands(
    channels: int, tmp_path: Path
) -> None:
    picture = bands(channels, (48, 64))
    with opened(tmp_path / "model", channels) as segmenter:
        found = segmenter.predict(picture)
    fed = scaled(picture, 255)[None].astype(np.float32)
    logits = tiny_output(fed, 5)[0].astype(np.float64)
    full = np.stack([cv2.resize(plane, (64, 48)) for plane in logits])
    np.testing.assert_array_equal(found.labels, full.argmax(0))
    assert len(np.unique(found.labels)) > 1


@pytest.mark.parametrize(
    ("values", "white", "scale"),
    [
        (bands(6), None, 255),
        (bands(6), 255.0, 255),
        (bands(6), 10000.0, 10000),
        (bands(6).astype(np.uint16) * 257, None, 65535),
        (bands(6).astype(np.uint16) * 60, 10000.0, 10000),  # brighter than white
        (bands(6).astype(np.int16) - 100, 300.0, 300),  # and below black
        (bands(6).astype(np.float32) / 255, None, 1),
        (bands(6).astype(np.float64) * 10 - 25, 1.0, 1),  # decibels
        (bands(6) > 100, None, 1),
    ],
)
def test_values_of_every_type_are_scaled_by_the_models_white_and_not_rounded(
    values: NDArray[Any], white: float | None, scale: float
) -> None:
    pixels = read_pixels(values, given(6, white))
    model = replace(tiny_model(channels=6), input=given(6, white))
    job = Job([pixels], model)
    np.testing.assert_allclose(
        job.batch(job.calls[0])[0], scaled(values, scale), rtol=1e-6, atol=1e-5
    )


def test_bits_are_counted_as_in_pictures_of_three_channels() -> None:
    values = bands(6).astype(np.uint16) * 16
    np.testing.assert_allclose(
        read_pixels(values, given(6), depth=12), values * (255 / 4095), rtol=1e-6
    )
    with pytest.warns(RuntimeWarning, match="as if it held 12 bits"):
        read_pixels(values, given(6))
    with pytest.raises(ImageError, match="values up to 4080; depth=10 allows 1023"):
        read_pixels(values, given(6), depth=10)
    with pytest.raises(
        ImageError, match=r"10000 is white, so depth=12 cannot apply; leave it out"
    ):
        read_pixels(values, given(6, 10000), depth=12)


@pytest.mark.parametrize(
    ("source", "channels", "said"),
    [
        (bands(3), 6, "the model takes 6 bands, the picture has 3: give an array"),
        (bands(6)[:, :, 0], 6, "the model takes 6 bands, the picture has 1: "),
        (
            bands(6),
            1,
            "the model takes 1 band, the picture has 6: give an array (H, W) or (H, W, 1)",
        ),
        (bands(6), 4, "the model takes 4 bands, the picture has 6"),
        (bands(6).transpose(2, 0, 1), 6, "pass array.transpose(1, 2, 0)"),
        (bands(6)[None], 6, "pass the pictures of a batch one by one"),
        (bands(6).astype(np.int16), 6, "int16, and the model does not say which value is white"),
        (bands(6).astype(np.float32), 6, "values from "),
        (bands(6) / np.float32(255) * np.nan, 6, "values from nan to nan"),
        (bands(6).astype(np.complex64), 6, "cannot be used"),
        (bands(6)[:0], 6, "at least one was expected"),
        (Image.fromarray(bands(3)), 1, "the model takes 1 band, the picture has 3"),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_what_would(
    source: Any, channels: int, said: str
) -> None:
    with pytest.raises(ImageError) as caught:
        read_pixels(source, given(channels))
    assert said in str(caught.value)


def test_values_that_are_not_finite_are_refused_even_if_the_model_says_what_white_is() -> None:
    values = bands(2).astype(np.float32)
    values[3, 4, 1] = np.inf
    with pytest.raises(ImageError, match="not finite"):
        read_pixels(values, given(2, 1.0))


def test_the_order_bgr_is_of_three_channels() -> None:
    with pytest.raises(ValueError, match="the order of three channels; the model takes 6"):
        read_pixels(bands(6), given(6), color="bgr")


def test_a_model_of_one_band_takes_grey_pictures_of_every_kind(tmp_path: Path) -> None:
    grey = bands(1)[:, :, 0]
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    tifffile.imwrite(tmp_path / "a.tif", grey)
    deep = grey.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    png, other = (tmp_path / "a.png").read_bytes(), tmp_path / "a.tif"
    for source in (grey, grey[:, :, None], str(tmp_path / "a.png"), png, io.BytesIO(png), other):
        found = read_pixels(source, given(1))
        np.testing.assert_array_equal(found, grey[:, :, None])
    np.testing.assert_array_equal(read_pixels(Image.fromarray(grey), given(1))[:, :, 0], grey)
    np.testing.assert_allclose(read_pixels(tmp_path / "deep.png", given(1))[:, :, 0], grey)


def test_a_model_of_four_bands_takes_the_fourth_channel_of_a_png_and_keeps_the_order(
    tmp_path: Path,
) -> None:
    four = bands(4)
    Image.fromarray(four).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png", given(4)), four)
    np.testing.assert_array_equal(read_pixels(Image.fromarray(four), given(4)), four)


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack", "planarconfig": "contig"},
        {"photometric": "minisblack", "planarconfig": "separate"},
        {"photometric": "rgb"},
        {
            "photometric": "minisblack",
            "planarconfig": "contig",
            "compression": "zlib",
            "tile": (16, 16),
        },
        {"photometric": "rgb", "bigtiff": True, "byteorder": ">"},
    ],
)
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_tiff_files_of_every_layout_hold_the_bands_of_the_array(
    options: dict[str, Any], kind: str, six: Segmenter, tmp_path: Path
) -> None:
    picture = of_type(kind, bands(6))
    stored = picture.transpose(2, 0, 1) if options.get("planarconfig") == "separate" else picture
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    found = six.predict(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.labels, six.predict(picture).labels)
    np.testing.assert_array_equal(
        read_pixels((tmp_path / "a.tif").read_bytes(), six.model.input),
        read_pixels(picture, six.model.input),
    )


def test_the_alpha_of_a_tiff_is_left_out_where_it_is_one_band_too_many(
    six: Segmenter, tmp_path: Path
) -> None:
    kinds = [ColorInterp.gray, *[ColorInterp.undefined] * 5, ColorInterp.alpha]
    picture = bands(7)
    path = write_tiff(tmp_path / "a.tif", picture, colorinterp=kinds)
    np.testing.assert_array_equal(read_pixels(path, six.model.input), picture[:, :, :6])
    other = write_tiff(tmp_path / "b.tif", picture)
    with pytest.raises(ImageError, match="the model takes 6 bands, the picture has 7"):
        six.predict(other)


def test_a_tiff_is_turned_upright(six: Segmenter, tmp_path: Path) -> None:
    picture = bands(6)
    tifffile.imwrite(
        tmp_path / "a.tif", picture, photometric="rgb", extratags=[(274, "H", 1, 6, True)]
    )
    found = read_pixels(tmp_path / "a.tif", six.model.input)
    np.testing.assert_array_equal(found, np.rot90(picture, -1))
    assert six.predict(tmp_path / "a.tif").size == (53, 41)


def test_bands_in_several_pages_are_refused_with_their_number(
    six: Segmenter, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", bands(6).transpose(2, 0, 1), photometric="minisblack")
    with pytest.raises(ImageError, match=r"has 1: .* It has 6 pages, and the first is read"):
        six.predict(tmp_path / "a.tif")


def test_a_model_of_three_bands_refuses_more_with_their_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_tiff(tmp_path / "a.tif", bands(6))
    with pytest.raises(ImageError, match="a TIFF file of 6 bands; grey or RGB"):
        read_pixels(path, given(3))
    assert capfd.readouterr().err == ""  # OpenCV was not asked, which would shout


def test_a_palette_and_cut_off_files_are_refused(tmp_path: Path) -> None:
    table = {index: (index, 255 - index, 7, 255) for index in range(256)}
    path = write_tiff(tmp_path / "a.tif", bands(1)[:, :, 0], photometric="palette", colormap=table)
    with pytest.raises(ImageError, match="holds a palette"):
        read_pixels(path, given(1))
    data = write_tiff(tmp_path / "b.tif", bands(6)).read_bytes()
    with pytest.raises(ImageError, match="cut off"):
        read_pixels(data[:-20], given(6))
    with pytest.raises(ImageError, match="more than the limit of 100"):
        read_pixels(data, given(6), max_pixels=100)


RESIZES: Sequence[Resize | None] = (
    None,
    Resize("long_side", 80, align_corners=True),
    Resize("short_side", 30, align_corners=False),
    Resize("long_side", 70, align_corners=False, arithmetic="paddleseg"),
    Resize(
        "exact", 64, align_corners=False, width=48, arithmetic="paddleseg", interpolation="cubic"
    ),
)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("white", [None, 255.0])
@pytest.mark.parametrize("channels", [4, 6, 13])
def test_shared_bands_are_fed_exactly_as_in_a_picture_of_three(
    resize: Resize | None, white: float | None, channels: int
) -> None:
    """Bands do not mix: a network that ignores all others sees what one of three channels sees."""
    picture = bands(channels)
    values = (0.3, 0.4, 0.6, *[0.5] * (channels - 3))
    more = Input("image", values, values, values, white=white)
    fed = []
    for pixels, inputs in (
        (
            picture[:, :, :3],
            replace(more, mean=values[:3], std=values[:3], padding=values[:3], white=None),
        ),
        (picture, more),
    ):
        model = replace(tiny_model(), input=inputs, procedure=Procedure("whole", resize))
        job = Job([read_pixels(pixels, inputs)], model)
        fed.append(job.batch(job.calls[0]))
    np.testing.assert_array_equal(fed[0], fed[1][:, :3])


@pytest.mark.parametrize("resize", RESIZES)
def test_one_band_is_fed_as_each_channel_of_a_grey_picture(resize: Resize | None) -> None:
    grey = bands(1)
    fed = []
    for pixels in (np.repeat(grey, 3, axis=2), grey):
        model = replace(tiny_model(channels=pixels.shape[2]), procedure=Procedure("whole", resize))
        job = Job([read_pixels(pixels, model.input)], model)
        fed.append(job.batch(job.calls[0]))
    # OpenCV interpolates the channels of a pixel with one rounding more or less.
    np.testing.assert_allclose(
        np.asarray(fed[0], np.float64), np.repeat(fed[1], 3, axis=1), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [(211, 307), (40, 50)])
def test_rasters_have_the_labels_of_the_picture(
    kind: str, size: tuple[int, int], six: Segmenter, tmp_path: Path
) -> None:
    picture = of_type(kind, bands(6, size))
    path = write_tiff(
        tmp_path / "a.tif",
        picture,
        interleave="band",
        tiled=True,
        blockxsize=32,
        blockysize=32,
        **PLACE,
    )
    windows = Procedure(windows=Windows(64, 40), mirror="horizontal")
    six.predict_raster(path, tmp_path / "labels.tif", windows)
    np.testing.assert_array_equal(
        labels_of(tmp_path / "labels.tif"), six.predict(picture, windows).labels
    )


def test_rasters_of_other_counts_are_refused_before_anything_is_read(
    six: Segmenter, tmp_path: Path
) -> None:
    path = write_tiff(tmp_path / "a.tif", bands(4, (90, 90)))
    with pytest.raises(ImageError, match="the model takes 6 bands, the picture has 4"):
        six.predict_raster(path, tmp_path / "labels.tif")


def test_pixels_of_a_raster_without_data_are_marked_in_floats(
    six: Segmenter, tmp_path: Path
) -> None:
    picture = bands(6, (90, 90)).astype(np.float32) / 255
    picture[:20, :30] = np.nan
    path = write_tiff(tmp_path / "a.tif", picture, nodata=np.nan)
    result = six.predict_raster(path, tmp_path / "labels.tif")
    assert result.nodata == 255
    assert (labels_of(tmp_path / "labels.tif")[:20, :30] == 255).all()


def test_people_see_the_first_three_bands_or_grey_between_two_percentiles() -> None:
    picture = bands(6).astype(np.float32) * 3 - 100
    for channels, first in ((6, 3), (2, 1), (1, 1)):
        pixels = picture[:, :, :channels]
        low, high = np.percentile(pixels[:, :, :first], (2, 98), axis=(0, 1))
        expected = np.clip((pixels[:, :, :first] - low) / (high - low), 0, 1) * 255
        found = visible(pixels)
        assert found.dtype == np.uint8
        assert found.shape == (41, 53, 3)
        assert np.abs(found.astype(float) - expected).max() <= 0.51
    assert (visible(np.full((4, 5, 1), 7, np.uint8)) == 0).all()
    rgb = bands(3)
    assert visible(rgb) is rgb or np.shares_memory(visible(rgb), rgb)


def test_results_can_be_drawn_saved_and_planned(six: Segmenter, tmp_path: Path) -> None:
    result = six.predict(bands(6))
    assert result.picture.shape == (41, 53, 3)
    assert result.overlay(alpha=0, legend=False).shape == (41, 53, 3)
    for name in ("a.png", "a.jpg", "a.npz", "a.json"):
        result.save(tmp_path / name)
    assert six.plan((41, 53)).memory > 0


def test_many_pictures_are_labelled_as_each_alone_and_a_video_is_refused(
    six: Segmenter, tmp_path: Path
) -> None:
    pictures = [bands(6, size, seed) for seed, size in enumerate([(41, 53), (60, 44), (41, 53)])]
    for index, picture in enumerate(pictures):
        write_tiff(tmp_path / f"{index}.tif", picture)
    alone = [six.predict(picture).labels for picture in pictures]
    with six.stream(tmp_path) as stream:
        for result, labels in zip(stream, alone, strict=True):
            assert isinstance(result, Segmentation)
            np.testing.assert_array_equal(result.labels, labels)
    found = six.predict_batch([pictures[0], bands(4)], on_error="return")
    assert isinstance(found[1], Failed)
    assert "the model takes 6 bands, the picture has 4" in str(found[1].error)
    with pytest.raises(ImageError, match="is a video, whose frames have 3 channels"):
        six.stream("film.mp4")


@pytest.mark.parametrize("white", [None, 1.0, 10000.0])
def test_the_picture_of_a_self_test_has_no_two_bands_alike_and_fits_the_normalisation(
    white: float | None,
) -> None:
    mean, std = np.linspace(0.1, 0.4, 13), np.linspace(0.05, 0.2, 13)
    inputs = Input("image", tuple(mean), tuple(std), tuple(mean), white=white)
    made = with_channels_of(photograph(60, 80), inputs)
    np.testing.assert_array_equal(made, with_channels_of(photograph(60, 80), inputs))
    planes = made.reshape(-1, 13).T
    assert len(np.unique(planes, axis=0)) == 13
    if white is not None:
        z = (made / white - mean) / std
        assert abs(z.mean()) < 0.5
        assert 0.5 < z.std() < 2
