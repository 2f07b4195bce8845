import av
import numpy as np
import pytest
from PIL import Image

from stal.errors import ConfigError, ShapeError
from stal.visualize.tube_files import check_kinds, write_tube_files
from stal.visualize.tube_frames import draw_tube_frames
from stal.visualize.tube_volume import FORMAT

KINDS = ("mp4", "gif", "png", "tube", "html", "npz")


def test_every_kind_is_written_in_one_pass(make_view, frames, tmp_path):
    view = make_view(signed=True)
    files = write_tube_files(tmp_path / "new", "a", view, iter(frames), KINDS)
    names = {"mp4": "a.mp4", "gif": "a.gif", "png": "a.png", "tube": "a_space.png", "html": "a.html", "npz": "a.npz"}
    assert {kind: path.name for kind, path in files.items()} == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names.values())

    drawn = draw_tube_frames(view, frames, 0)
    with av.open(str(files["mp4"])) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 12
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    assert decoded.shape == drawn.shape
    assert np.abs(decoded.astype(int) - drawn).mean() < 4
    with Image.open(files["gif"]) as gif:
        assert gif.n_frames == 4  # every third of 12
        assert gif.info["duration"] == 250
        gif.seek(1)
        assert np.abs(np.asarray(gif.convert("RGB")).astype(int) - drawn[3]).mean() < 8
    with Image.open(files["png"]) as strip:
        assert np.array_equal(np.asarray(strip)[:, :320], drawn[2])
        assert strip.width == 4 * 320 + 3 * 4
    with Image.open(files["tube"]) as picture:
        assert picture.width > 800
    assert "plotly" in files["html"].read_text()
    with np.load(files["npz"]) as arrays:
        assert arrays["format"] == FORMAT
        assert arrays["volume"].dtype == arrays["magnitude"].dtype == np.float16
        np.testing.assert_allclose(arrays["volume"], view.tube.volume, atol=1e-3)
        np.testing.assert_allclose(arrays["magnitude"], view.tube.magnitude, atol=1e-3)
        for name in ("boxes", "scores", "inside_shares", "volume_shares"):
            np.testing.assert_array_equal(arrays[name], getattr(view.tube, name))
        texts = {name: str(arrays[name]) for name in ("video", "action", "method", "pathway")}
        assert texts == {"video": "iid/00001", "action": "wave", "method": "input_gradient", "pathway": "both"}
        assert arrays["video_size"].tolist() == [48, 64] and arrays["fps"] == 12


@pytest.mark.parametrize("kind", ["png", "npz", "mp4"])
def test_one_kind_is_written_alone(make_view, frames, tmp_path, kind):
    (path,) = write_tube_files(tmp_path, "a", make_view(), iter(frames), (kind,)).values()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kinds", [("jpg",), ("mp4", "pgn"), ()])
def test_an_unknown_kind_is_an_error_that_names_the_known_ones(kinds):
    with pytest.raises(ConfigError, match="mp4, gif, png, tube, html, npz"):
        check_kinds(kinds)


@pytest.mark.parametrize("change", ["fewer", "more", "larger"])
def test_frames_of_another_video_are_an_error_that_leaves_no_video(make_view, frames, tmp_path, change):
    wrong = {
        "fewer": frames[:-1],
        "more": np.concatenate([frames, frames[:1]]),
        "larger": np.pad(frames, ((0, 0), (0, 2), (0, 0), (0, 0))),
    }[change]
    with pytest.raises(ShapeError, match="iid/00001"):
        write_tube_files(tmp_path, "a", make_view(), iter(wrong), KINDS)
    assert list(tmp_path.iterdir()) == []
