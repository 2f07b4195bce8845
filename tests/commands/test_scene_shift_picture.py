import numpy as np
from PIL import Image

from stal.commands.scene_shift_picture import draw_scene_shift_picture


def test_the_picture_shows_the_video_and_every_kind_of_set(tmp_path):
    path = draw_scene_shift_picture(tmp_path)
    picture = np.asarray(Image.open(path).convert("RGB"))
    height, width, _ = picture.shape
    rows = picture[: height - height % 6].reshape(6, -1, width, 3)[:, 16:]  # without their names
    assert height % 6 == 0
    for i in range(6):
        for j in range(i):
            assert np.abs(rows[i].astype(int) - rows[j].astype(int)).mean() > 1
