"""Images of every mode and shape become the right square."""

import io
import os
import socket
import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from tinyalex.data import prepare, prepare_image, read_image
from tinyalex.data.prepare import Preparation, check_header
from tinyalex.errors import DataError, ImageError, UsageError

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def through_png(image, **options):
    """What a reader of a PNG file gets."""
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    file.seek(0)
    return Image.open(file)


# Modes. The images are 4 x 4 and prepared to 4 x 4, so that no scaling blurs the comparison.


def test_rgb_of_the_right_size_is_kept_to_the_bit():
    pixels = noise(4, 4)
    prepared = prepare_image(Image.fromarray(pixels), 4)
    assert prepared.dtype == np.uint8
    np.testing.assert_array_equal(prepared, pixels)


def test_grey_becomes_three_equal_channels():
    grey = noise(4, 4)[:, :, 0]
    np.testing.assert_array_equal(prepare_image(Image.fromarray(grey), 4), np.stack([grey] * 3, axis=2))


def test_one_bit_becomes_black_and_white():
    bits = noise(4, 4)[:, :, 0] > 128
    prepared = prepare_image(Image.fromarray(bits), 4)
    np.testing.assert_array_equal(prepared, np.where(bits[:, :, None], 255, 0).repeat(3, axis=2))


def palette_image():
    image = Image.new("P", (4, 4))
    image.putpalette([*RED, *GREEN, *BLUE, *GREY])
    image.putdata([0, 1, 2, 3] * 4)
    return image


def test_palette_is_looked_up():
    np.testing.assert_array_equal(prepare_image(palette_image(), 4), np.array([[RED, GREEN, BLUE, GREY]] * 4))


def test_a_transparent_palette_entry_becomes_white():
    image = through_png(palette_image(), transparency=1)
    assert image.mode == "P"
    expected = np.array([[RED, (255, 255, 255), BLUE, GREY]] * 4)
    np.testing.assert_array_equal(prepare_image(image, 4), expected)


def test_palette_entries_may_be_half_transparent():
    image = through_png(palette_image(), transparency=bytes([255, 0, 255, 51]))  # grey: a fifth of it over white
    expected = np.array([[RED, (255, 255, 255), BLUE, (222, 222, 222)]] * 4)  # 0.2 * 90 + 0.8 * 255 = 222
    np.testing.assert_allclose(prepare_image(image, 4), expected, atol=1)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "RGBa"])
def test_alpha_is_laid_over_white(mode):
    colours, alpha = noise(4, 4), noise(4, 4, seed=1)[:, :, 0]
    if mode == "LA":
        colours[:] = colours[:, :, :1]
        image = Image.fromarray(np.stack([colours[:, :, 0], alpha], axis=2))
    else:
        alpha |= 1  # RGBa keeps no colour where alpha is 0
        image = Image.fromarray(np.concatenate([colours, alpha[:, :, None]], axis=2))
    expected = np.empty((4, 4, 3))
    for row in range(4):
        for column in range(4):
            share = alpha[row, column] / 255
            expected[row, column] = share * colours[row, column] + (1 - share) * 255
    # premultiplied colours (RGBa) are rounded on the way
    np.testing.assert_allclose(prepare_image(image.convert(mode), 4), expected, atol=2 if mode == "RGBa" else 1)


def test_grey_with_a_transparent_value_becomes_white():
    image = through_png(Image.fromarray(np.full((4, 4), 7, np.uint8)), transparency=7)
    assert image.mode == "L"
    assert (prepare_image(image, 4) == 255).all()


@pytest.mark.parametrize(
    ("cmyk", "rgb"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 0, 0), (255, 0, 255)),
        ((0, 0, 255, 0), (255, 255, 0)),
        ((0, 0, 0, 55), (200, 200, 200)),
    ],
)
def test_cmyk_inks_become_colours(cmyk, rgb):
    prepared = prepare_image(Image.new("CMYK", (4, 4), cmyk), 4)
    np.testing.assert_allclose(prepared, np.broadcast_to(rgb, (4, 4, 3)), atol=1)


def test_cmyk_jpeg_from_a_file(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    with Image.open(tmp_path / "red.jpg") as image:
        assert image.mode == "CMYK"
    np.testing.assert_allclose(np.asarray(read_image(tmp_path / "red.jpg"))[8, 8], RED, atol=4)


def sixteen_bit(kind):
    values = np.array([0, 257, 128 * 257, 32768, 65535, 256, 383, 65278] * 2, np.uint16).reshape(4, 4)
    expected = np.array([0, 1, 128, 128, 255, 1, 1, 254] * 2).reshape(4, 4)  # value * 255 / 65535, rounded
    if kind == "png":
        return through_png(Image.fromarray(values)), expected
    if kind == "big-endian":
        return Image.frombytes("I;16B", (4, 4), values.astype(">u2").tobytes()), expected
    return Image.fromarray(values.astype(np.int32)), expected


@pytest.mark.parametrize(("kind", "mode"), [("png", "I;16"), ("big-endian", "I;16B"), ("int32", "I")])
def test_sixteen_bits_are_scaled_not_cut_off(kind, mode):
    image, expected = sixteen_bit(kind)
    assert image.mode == mode
    np.testing.assert_array_equal(prepare_image(image, 4), np.stack([expected] * 3, axis=2))


def test_sixteen_bit_tiff_from_a_file(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "grey.tiff")
    assert (np.asarray(read_image(tmp_path / "grey.tiff")) == 156).all()  # 40000 / 257 = 155.6


def test_integers_beyond_sixteen_bits_are_clipped():
    image = Image.fromarray(np.array([[-5, 70000]] * 2, np.int32))
    np.testing.assert_array_equal(prepare_image(image, 2)[0], [[0, 0, 0], [255, 255, 255]])


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX", "F", "PA"])
def test_a_white_image_of_another_mode_is_white(mode):
    white = Image.new("RGB", (4, 4), (255, 255, 255)).convert("L" if mode in "FPA" else "RGB").convert(mode)
    assert (prepare_image(white, 4) >= 254).all()


def test_the_image_itself_is_left_alone():
    image = Image.fromarray(noise(9, 7))
    before = image.tobytes()
    prepare_image(image, 5)
    assert (image.size, image.tobytes()) == ((7, 9), before)


# EXIF: where the pixel shown at (row, column) is stored, for a stored image of height H and width W.

H, W = 3, 5
STORED_AT = {
    1: lambda r, c: (r, c),
    2: lambda r, c: (r, W - 1 - c),
    3: lambda r, c: (H - 1 - r, W - 1 - c),
    4: lambda r, c: (H - 1 - r, c),
    5: lambda r, c: (c, r),
    6: lambda r, c: (H - 1 - c, r),
    7: lambda r, c: (H - 1 - c, W - 1 - r),
    8: lambda r, c: (c, W - 1 - r),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path, orientation):
    stored = noise(H, W)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    shown = np.asarray(read_image(tmp_path / "turned.png"))
    height, width = (H, W) if orientation <= 4 else (W, H)
    assert shown.shape == (height, width, 3)
    for row in range(height):
        for column in range(width):
            source = STORED_AT[orientation](row, column)
            np.testing.assert_array_equal(shown[row, column], stored[source])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_does_no_harm(tmp_path):
    Image.new("RGB", (6, 4), RED).save(tmp_path / "odd.png", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\x00\x12\x01")
    assert read_image(tmp_path / "odd.png").size == (6, 4)


def test_prepare_image_undoes_exif_rotation_too():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    stored = noise(4, 4)
    prepared = prepare_image(through_png(Image.fromarray(stored), exif=exif), 4)
    np.testing.assert_array_equal(prepared[0], stored[::-1, 0])  # the top row is the left column, from below


# Geometry.


@pytest.mark.parametrize(("height", "width", "top", "left"), [(4, 9, 0, 2), (9, 4, 2, 0), (4, 10, 0, 3), (5, 4, 0, 0)])
def test_the_central_square_is_cut_out(height, width, top, left):
    pixels = noise(height, width)
    np.testing.assert_array_equal(prepare_image(Image.fromarray(pixels), 4), pixels[top : top + 4, left : left + 4])


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_scaling_keeps_every_pixel_in_its_place(factor):
    """A slope stays a slope: the value in the middle of each output pixel. The slope runs beyond the square."""
    side, length = 8 * factor, 12 * factor
    slope = np.round(np.arange(length) * 200 / length)
    picture = np.broadcast_to(slope[None, :, None], (side, length, 3)).astype(np.uint8)
    prepared = prepare_image(Image.fromarray(picture), 8)
    for column in range(1, 7):
        middle = 2 * factor + (column + 0.5) * factor - 0.5
        np.testing.assert_allclose(prepared[:, column], middle * 200 / length, atol=1.5)


def test_fine_patterns_are_averaged_not_sampled():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(prepare_image(Image.fromarray(board), 8), 127.5, atol=2)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 20),
    st.sampled_from(["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I", "I;16", "F"]),
)
def test_any_size_and_mode_gives_the_square(height, width, size, mode):
    prepared = prepare_image(Image.new(mode, (width, height)), size)
    assert prepared.shape == (size, size, 3)
    assert prepared.dtype == np.uint8
    assert (prepared == prepared[0, 0]).all()  # an even image stays even


# Files.


def of_format(kind, image=None, **options):
    file = io.BytesIO()
    (Image.fromarray(noise(60, 60)) if image is None else image).save(file, kind, **options)
    return file.getvalue()


def claiming(width, height):
    """A PNG of a few bytes that claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT"


UNKNOWN = "none of JPEG, PNG, WEBP, BMP, GIF, TIFF"
BROKEN = {  # the content of a file, and the reason why it is refused
    "text.jpg": (b"this is no image\n", UNKNOWN),
    "empty.jpg": (b"", "0 bytes"),
    "cut.jpg": (of_format("JPEG")[:1500], "image file is truncated"),
    "cut.png": (of_format("PNG")[:5000], "truncated"),
    "cut.webp": (of_format("WEBP")[:500], ""),
    "cut.gif": (of_format("GIF")[:900], "truncated"),
    "cut.bmp": (of_format("BMP")[:900], "truncated"),
    "header.jpg": (of_format("JPEG")[:30], ""),
    "program.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", UNKNOWN),
    "other.jpg": (b"P6 1 1 255 abc", UNKNOWN),  # a format that Pillow knows and that is not asked for
    "large.png": (claiming(13_000, 13_000), "13000 x 13000 pixels: more than 100,000,000"),
    "bomb.png": (claiming(30_000, 30_000), "900000000 pixels"),
    "line.png": (of_format("PNG", Image.new("RGB", (1, 10_000))), "1 x 10000 pixels: longer than 100 times"),
    "thin.png": (of_format("PNG", Image.new("RGB", (404, 4))), "404 x 4 pixels: longer than 100 times"),
}


@pytest.mark.filterwarnings("ignore:Image size")  # Pillow warns of less
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(tmp_path, name):
    content, reason = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=name) as raised:
        read_image(tmp_path / name)
    assert reason in raised.value.reason
    assert str(tmp_path) not in raised.value.reason
    assert "\n" not in str(raised.value)
    if content:
        with pytest.raises(ImageError, match=r"got photo 7 \(.*\): expected an image file") as in_memory:
            read_image(io.BytesIO(content), name="photo 7")
        assert in_memory.value.reason == raised.value.reason


@pytest.mark.filterwarnings("ignore:Image size")
def test_what_the_beginning_of_a_file_tells(tmp_path):
    """All but what is cut short further on."""
    for name, (content, _) in BROKEN.items():
        (tmp_path / name).write_bytes(content)
        if name in ("cut.jpg", "cut.png", "cut.gif", "cut.bmp"):
            check_header(tmp_path / name)
        else:
            with pytest.raises(ImageError, match=name):
                check_header(tmp_path / name)


def test_the_widest_that_is_read(tmp_path):
    Image.new("RGB", (400, 4)).save(tmp_path / "thin.png")
    assert read_image(tmp_path / "thin.png").size == (400, 4)


def test_a_size_that_is_not_safe_is_refused_before_anything_is_decoded(monkeypatch):
    """A valid PNG: 13,000 x 13,000 pixels in half a megabyte would take two gigabytes."""
    decoded = []
    monkeypatch.setattr(prepare, "LARGEST", 99)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: decoded.append(image.size))
    with pytest.raises(ImageError, match="10 x 10 pixels: more than 99"):
        read_image(io.BytesIO(of_format("PNG", Image.new("RGB", (10, 10)))), name="ten")
    assert decoded == []


def test_a_file_that_is_too_large(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(of_format("PNG"))
    monkeypatch.setattr(prepare, "LARGEST_FILE", 1000)
    with pytest.raises(ImageError, match=r"bytes: more than 1,000\)"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "link to a pipe"])
def test_only_regular_files_are_opened(tmp_path, monkeypatch, kind):
    """A pipe would wait for a writer for ever."""
    path = tmp_path / "odd.jpg"
    monkeypatch.setattr(Path, "open", None)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            monkeypatch.chdir(tmp_path)  # a socket's path may have 107 bytes
            with socket.socket(socket.AF_UNIX) as made:
                made.bind("odd.jpg")
        case "device":
            path = Path(os.devnull)
        case "folder":
            path.mkdir()
        case "link to a pipe":
            os.mkfifo(tmp_path / "pipe")
            path.symlink_to("pipe")
    with pytest.raises(ImageError) as raised:
        read_image(path)
    assert raised.value.reason == ("a folder" if kind == "folder" else "a pipe, a device or a socket")


def test_links_are_followed_wherever_they_lead(tmp_path):
    Image.new("RGB", (5, 5), RED).save(tmp_path / "elsewhere.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link.png").symlink_to(tmp_path / "elsewhere.png")
    assert read_image(tmp_path / "set" / "link.png").size == (5, 5)
    (tmp_path / "set" / "secret.png").symlink_to("/etc/passwd")
    with pytest.raises(ImageError, match=UNKNOWN):
        read_image(tmp_path / "set" / "secret.png")


def test_a_name_that_is_not_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(path)).write_bytes(of_format("JPEG"))
    assert read_image(os.fsdecode(path)).size == (60, 60)
    Path(os.fsdecode(path)).write_bytes(b"text")
    with pytest.raises(ImageError, match=r"caf\?\.jpg \(none of") as raised:
        read_image(os.fsdecode(path))
    str(raised.value).encode()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(tmp_path, kind):
    frames = [Image.new("RGB", (6, 6), colour) for colour in (RED, GREEN, BLUE)]
    frames[0].save(tmp_path / "moving", kind, save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "moving") as image:
        assert image.n_frames == 3
    np.testing.assert_allclose(np.asarray(read_image(tmp_path / "moving"))[3, 3], RED, atol=3)


def test_ycck_as_photoshop_writes_it():
    """Adobe's CMYK is inverted. As YCCK it is stored as the YCbCr of the inverted C, M, Y: here those of pure red."""
    luma, blue, red = 76, 85, 255
    stored = Image.merge("CMYK", [Image.new("L", (16, 16), 255 - value) for value in (luma, blue, red, 255)])
    content = bytearray(of_format("JPEG", stored, quality=100))  # Pillow inverts too
    marker = content.index(b"Adobe")
    assert content[marker + 11] == 0  # CMYK; 2 stands for YCCK
    content[marker + 11] = 2
    image = read_image(io.BytesIO(bytes(content)), name="ycck")
    np.testing.assert_allclose(np.asarray(image)[8, 8], (0, 255, 255), atol=4)  # 255 of cyan ink


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"got .*nowhere\.png \(it does not exist\): expected an image file"):
        read_image(tmp_path / "nowhere.png")


def test_the_content_counts_not_the_suffix(tmp_path):
    Image.new("RGB", (5, 5), RED).save(tmp_path / "really_a_png.JPEG", "PNG")
    assert np.asarray(read_image(tmp_path / "really_a_png.JPEG"))[0, 0].tolist() == list(RED)


def test_an_image_smaller_than_the_first_kernel(tmp_path):
    Image.new("RGB", (50, 10)).save(tmp_path / "flat.png")
    assert read_image(tmp_path / "flat.png", smallest=10).size == (50, 10)
    with pytest.raises(DataError, match=r"flat\.png \(50 x 10 pixels: fewer than the 11 x 11"):
        read_image(tmp_path / "flat.png", smallest=11)


@pytest.mark.parametrize("length", [2**31, 2**32 - 1])
def test_a_png_that_says_that_gigabytes_follow(tmp_path, length):
    """Its rows end before the chunk does that holds them."""
    Image.fromarray(noise(9, 9)).save(tmp_path / "long.png")
    content = (tmp_path / "long.png").read_bytes()
    place = content.index(b"IDAT") - 4
    (tmp_path / "long.png").write_bytes(content[:place] + struct.pack(">I", length) + content[place + 4 :])
    tracemalloc.start()
    with suppress(ImageError):
        read_image(tmp_path / "long.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6


REAL = os.environ.get("TINYALEX_DATA")


@pytest.mark.skipif(REAL is None, reason="TINYALEX_DATA is not set: no real images")
def test_photographs_of_all_sizes():
    """Each against averages over the pixels of its central square; a shift by a quarter of a pixel would be seen."""
    paths = sorted((Path(REAL) / "imagenet-samples" / "images").glob("*.JPEG"))[::10]
    assert len(paths) == 20
    for path in paths:
        with Image.open(path) as image:
            picture = image.convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = np.asarray(picture)[top : top + side, left : left + side].astype(float)

        def average(shift, square=square, side=side):
            """64 x 64 cells, moved to the right by `shift` cells."""
            shares = []  # (64, side): how much of each pixel a cell covers
            for starts in (np.arange(64)[:, None] * side / 64, (np.arange(64)[:, None] + shift) * side / 64):
                ends = np.minimum(starts + side / 64, np.arange(1, side + 1))
                shares.append(np.clip(ends - np.maximum(starts, np.arange(side)), 0, 1) * 64 / side)
            return np.einsum("yr,xc,rck->yxk", *shares, square, optimize=True)

        def distance(one, other):
            """Blurred first, since filters differ in sharpness; without the edge that a shift leaves empty."""
            return np.abs((one - other).reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))[:, :-1]).mean()

        prepared, expected = prepare_image(read_image(path, smallest=11), 64).astype(float), average(0)
        assert prepared.shape == (64, 64, 3)
        assert distance(prepared, expected) < distance(average(0.25), expected), path.name


# Squares as other people's nets expect them.

TORCHVISION = Path(__file__).parent.parent / "weights" / "stored" / "torch.npz"


@pytest.mark.parametrize("name", ["file", "48x31", "31x50", "121x20", "123x20", "18x18"])
def test_torchvisions_rule_to_the_last_bit(name):
    """Resize(20), then CenterCrop(16), of torchvision; ours cuts 20 x 20 first, of which the centre is the crop."""
    stored = np.load(TORCHVISION)
    prepared = prepare_image(Image.fromarray(stored[f"picture {name}"]), Preparation(20, "scale", "bilinear"))
    assert prepared.shape == (20, 20, 3)
    np.testing.assert_array_equal(prepared[2:-2, 2:-2], stored[f"crop {name}"])


def test_warping_squeezes_all_of_the_picture():
    """Two halves side by side stay halves, where the other rules cut them to one."""
    halves = np.zeros((10, 80, 3), np.uint8)
    halves[:, 40:] = 200
    prepared = prepare_image(Image.fromarray(halves), Preparation(20, "warp", "bilinear"))
    assert (prepared[:, :8] == 0).all()
    assert (prepared[:, 12:] == 200).all()


def test_the_filter_is_the_one_that_is_named():
    """Of an edge bilinear weights make a ramp, which bicubic ones overshoot."""
    edge = np.full((8, 8, 3), 100, np.uint8)
    edge[:, 4:] = 150
    for rule in ("square", "scale", "warp"):
        bilinear = prepare_image(Image.fromarray(edge), Preparation(32, rule, "bilinear"))
        bicubic = prepare_image(Image.fromarray(edge), Preparation(32, rule, "bicubic"))
        assert (bilinear.min(), bilinear.max()) == (100, 150)
        assert bicubic.min() < 100
        assert bicubic.max() > 150


def test_a_size_is_the_paper_s_preparation():
    picture = Image.fromarray(noise(13, 22))
    expected = prepare_image(picture, Preparation(9, "square", "bicubic", (1.0, 2.0, 3.0)))
    np.testing.assert_array_equal(prepare_image(picture, 9), expected)


@pytest.mark.parametrize(
    "words", [(0,), (-3,), (10**9,), (8, "warp", "bilinear", (1, 1)), (8, "warp", "bilinear", (1, 0, 1))]
)
def test_preparations_out_of_range(words):
    with pytest.raises(UsageError, match="of prepared images: expected"):
        Preparation(*words)
