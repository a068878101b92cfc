import pytest
import torch
import torch.nn.functional as F

from smoothswap.core.errors import ArgumentError
from smoothswap.core.interfaces import FaceInput
from smoothswap.modules.face_input import ffhq_side, resampling_matrix, to_face_input


def test_same_input_passes_unchanged():
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    assert torch.equal(to_face_input(x, FaceInput("ffhq", 16)), x)


@pytest.mark.parametrize("size", [16, 24, 50])
def test_resizing_is_antialiased_bilinear(size):
    x = torch.rand(2, 3, 32, 32)
    expected = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(to_face_input(x, FaceInput("ffhq", size)), expected, atol=1e-5, rtol=0)


def test_range_and_colour_order():
    x = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 8, 8)
    y = to_face_input(x, FaceInput("ffhq", 8, value_range=(0.0, 255.0), channel_order="bgr"))
    torch.testing.assert_close(y[0, :, 0, 0], torch.tensor([255.0, 127.5, 0.0]))


def test_arcface_window_is_where_the_template_says():
    # On an image whose value is the x coordinate, the middle of each output pixel reads its own position, to what an
    # antialiasing filter of 1.7 pixels can resolve; a shift by half a pixel would be 0.5.
    columns = torch.arange(256.0) + 0.5
    x = columns.expand(1, 3, 256, 256)
    y = to_face_input(x, FaceInput("arcface112", 112))
    centres = 33.0 + (torch.arange(112.0) + 0.5) * (223.5 - 33.0) / 112
    torch.testing.assert_close(y[0, 0, 50], centres, atol=0.1, rtol=0)
    rows = to_face_input(x.transpose(2, 3), FaceInput("arcface112", 112))[0, 0, :, 50]
    torch.testing.assert_close(rows, centres - 1.6, atol=0.1, rtol=0)


def test_small_crops_grow_to_the_arcface_size_and_gradients_pass():
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    y = to_face_input(x, FaceInput("arcface112", 112))
    assert y.shape == (1, 3, 112, 112)
    y.sum().backward()
    assert x.grad[0, 0, 32, 32] > 0
    assert x.grad[0, 0, 2, 2] == 0


def test_gradients_pass_where_the_same_crop_was_first_taken_in_inference():
    resampling_matrix.cache_clear()
    expects = FaceInput("ffhq", 7)
    with torch.inference_mode():
        to_face_input(torch.zeros(1, 3, 5, 5), expects)
    images = torch.zeros(1, 3, 5, 5, requires_grad=True)
    to_face_input(images, expects).sum().backward()
    assert images.grad.sum().item() == pytest.approx(3 * 7 * 7, abs=1e-3)


def test_autocast_keeps_grey_levels():
    x = torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = to_face_input(x, FaceInput("ffhq", 8))
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, to_face_input(x, FaceInput("ffhq", 8)))


def test_errors():
    with pytest.raises(ArgumentError, match=r"\[3, 16, 16\]"):
        to_face_input(torch.rand(3, 16, 16), FaceInput("ffhq", 8))
    with pytest.raises(ArgumentError, match="'wholehead'"):
        to_face_input(torch.rand(1, 3, 16, 16), FaceInput("wholehead", 8))


def test_mtcnn_box_is_squeezed_to_a_square_around_the_middle():
    columns = (torch.arange(256.0) + 0.5).expand(1, 3, 256, 256)
    expects = FaceInput("mtcnn_box", 160)
    x = to_face_input(columns, expects)[0, 0, 80]
    y = to_face_input(columns.transpose(2, 3), expects)[0, 0, :, 80]
    places = (torch.arange(160.0) + 0.5) / 160
    torch.testing.assert_close(x, 57 + 142 * places, atol=0.1, rtol=0)
    torch.testing.assert_close(y, 50 + 187 * places, atol=0.1, rtol=0)
    assert x.mean().item() == pytest.approx(128, abs=0.01)


def test_side_of_the_crop_that_is_large_enough():
    assert ffhq_side(FaceInput("ffhq", 64)) == 64
    assert ffhq_side(FaceInput("arcface112", 112)) == 151  # 112 · 256 / 190.5 = 150.5
    assert ffhq_side(FaceInput("mtcnn_box", 160)) == 289  # 160 · 256 / 142 = 288.5, the narrower side
    with pytest.raises(ArgumentError, match="'wholehead'"):
        ffhq_side(FaceInput("wholehead", 8))
