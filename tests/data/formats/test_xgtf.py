import logging
from pathlib import Path

import numpy as np
import pytest

from stal.data.formats import xgtf
from stal.data.formats.ucf24_annotations import CLASSES
from stal.data.formats.ucf24_pickle import read_pyannot
from stal.data.formats.video_source import VideoSource
from stal.data.formats.xgtf import read_xgtf
from stal.errors import AnnotationError, DataNotFoundError
from stal.structures import Tube

SOURCE = VideoSource(size=(240, 320), fps=25.0)
BIKING = "v_Biking_g01_c01"


def box(span: str, x: object = 10, y: object = 20, width: object = 30, height: object = 40) -> str:
    return f'<data:bbox framespan="{span}" height="{height}" width="{width}" x="{x}" y="{y}"/>'


def action(*spans: str, name: str = "biking", value: str = "true") -> str:
    values = "".join(f'<data:bvalue framespan="{span}" value="{value}"/>' for span in spans)
    return f'<attribute name="{name}">{values}</attribute>'


def person(boxes: str, *actions: str, name: str = "PERSON") -> str:
    location = f'<attribute name="Location">{boxes}</attribute>'
    return f'<object framespan="1:9" id="0" name="{name}">{location}{"".join(actions)}</object>'


def sourcefile(*objects: str, num_frames: object = 9) -> str:
    information = f'<attribute name="NUMFRAMES"><data:dvalue value="{num_frames}"/></attribute>'
    return f'<sourcefile filename="file:/x.mpg"><file id="0">{information}</file>{"".join(objects)}</sourcefile>'


def write(path: Path, *sourcefiles: str) -> Path:
    """Write a file as ViPER does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<viper xmlns="http://lamp.cfar.umd.edu/viper#" '
        'xmlns:data="http://lamp.cfar.umd.edu/viperdata#"><config><descriptor name="PERSON" type="OBJECT"/></config>'
        f"<data>{''.join(sourcefiles)}</data></viper>"
    )
    return path


def read_tubes(folder: Path, *objects: str, name: str = BIKING) -> tuple[Tube, ...]:
    (video,) = read_xgtf(write(folder / f"{name}.xgtf", sourcefile(*objects)), source=SOURCE).videos
    return video.tubes


def test_spans_count_from_one_and_include_their_ends(tmp_path: Path) -> None:
    (tube,) = read_tubes(tmp_path, person(box("1:2") + box("3:3", x=11), action("1:3")))
    assert tube.frames.tolist() == [0, 1, 2]
    assert tube.boxes.tolist() == [[10, 20, 40, 60], [10, 20, 40, 60], [11, 20, 41, 60]]
    assert tube.label == CLASSES.index("Biking")


def test_a_tube_has_the_frames_on_which_the_action_is_true(tmp_path: Path) -> None:
    actions = (action("1:3", value="false"), action("1:9", name="walking", value="false"))
    doing = action("3:4", "8:12").replace("</attribute>", '<data:bvalue framespan="5:7" value="false"/></attribute>')
    assert [tube.frames.tolist() for tube in read_tubes(tmp_path, person(box("1:9"), doing, actions[1]))] == [
        [2, 3],
        [7, 8],
    ]
    assert read_tubes(tmp_path, person(box("1:9"), *actions)) == ()


def test_each_run_of_frames_of_each_person_is_a_tube(tmp_path: Path) -> None:
    first = person(box("1:2 5:6") + box("4:4", x=50), action("1:9"))
    second = person(box("9:9"), action("9:9"))
    tubes = read_tubes(tmp_path, first, second)
    assert [(tube.id, tube.frames.tolist()) for tube in tubes] == [(0, [0, 1]), (1, [3, 4, 5]), (2, [8])]
    assert tubes[1].boxes[:, 0].tolist() == [50, 10, 10]


@pytest.mark.parametrize(
    ("class_name", "attribute"),
    [
        ("Biking", "biking"),
        ("WalkingWithDog", "walking"),
        ("Basketball", "basketball_shooting"),
        ("BasketballDunk", "Basketball Dunk"),
        ("CliffDiving", "CliffDiving"),
        ("Basketball", "Basketball"),
    ],
)
def test_the_action_has_the_name_of_the_class_or_that_of_ucf11(tmp_path: Path, class_name: str, attribute: str) -> None:
    others = [action("1:9", name=name, value="false") for name in ("Archery", "Swing")]
    (tube,) = read_tubes(
        tmp_path, person(box("1:1"), *others, action("1:1", name=attribute)), name=f"v_{class_name}_g01_c01"
    )
    assert tube.label == CLASSES.index(class_name)


def test_boxes_beyond_the_image_are_kept_and_empty_ones_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = box("1:1", x=-5) + box("2:3", width=0) + box("4:4", x=300, y=-1)
    with caplog.at_level(logging.INFO):
        tubes = read_tubes(tmp_path, person(boxes, action("1:9")))
    assert [tube.boxes.tolist() for tube in tubes] == [[[-5, 20, 25, 60]], [[300, -1, 330, 39]]]
    assert [message.split(": ")[1] for message in caplog.messages] == [
        "2 boxes have no area; they are dropped",
        "2 boxes reach beyond the image; they are kept",
    ]


def test_what_is_left_out_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    idle = action("1:9", value="false")
    path = write(
        tmp_path / f"{BIKING}.xgtf",
        sourcefile(
            person(box("1:1"), idle, name="VEHICLE"),
            person(box("1:1"), idle, action("1:1", name="walking")),
        ),
        sourcefile(person(box("1:9"), action("1:9"))),
    )
    with caplog.at_level(logging.INFO):
        (video,) = read_xgtf(path, source=SOURCE).videos
    assert video.tubes == ()
    assert [message.removeprefix(f"{path}: ") for message in caplog.messages] == [
        "1 files have several sourcefiles; the first is read",
        "1 objects are no persons",
        "1 persons do another action",
        "1 persons never do the action",
        "1 videos have no tube",
    ]


def test_videos_are_named_by_class_and_file_and_get_one_split(tmp_path: Path) -> None:
    content = sourcefile(person(box("1:1"), action("1:1")))
    write(tmp_path / "Biking" / "v_Biking_g02_c01.xgtf", content)
    write(tmp_path / f"{BIKING}.xgtf", content)
    annotations = read_xgtf(tmp_path, source=SOURCE, split="test")
    assert annotations.classes == CLASSES
    assert [video.key for video in annotations.videos] == [f"Biking/{BIKING}", "Biking/v_Biking_g02_c01"]
    assert {(v.height, v.width, v.fps, v.split) for v in annotations.videos} == {(240, 320, 25.0, "test")}


@pytest.mark.parametrize(("last_box", "num_frames", "expected"), [(9, 9, 10), (10, 9, 10), (12, 9, 12), (1, 200, 201)])
def test_without_videos_there_is_one_frame_more_than_announced(
    tmp_path: Path, last_box: int, num_frames: int, expected: int
) -> None:
    content = sourcefile(person(box(f"1:{last_box}"), action("1:99")), num_frames=num_frames)
    (video,) = read_xgtf(write(tmp_path / f"{BIKING}.xgtf", content), source=SOURCE).videos
    assert video.num_frames == expected


def test_without_an_announcement_the_last_box_ends_the_video(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = sourcefile(person(box("1:7"), action("1:99"))).replace("NUMFRAMES", "FRAMERATE")
    with caplog.at_level(logging.INFO):
        (video,) = read_xgtf(write(tmp_path / f"{BIKING}.xgtf", content), source=SOURCE).videos
    assert video.num_frames == 7
    assert "1 files have no NUMFRAMES" in caplog.text


@pytest.mark.parametrize(("num_images", "expected"), [(9, 9), (10, 10), (14, 14), (3, 9)])
def test_a_video_says_how_long_it_is(tmp_path: Path, num_images: int, expected: int) -> None:
    cv2 = pytest.importorskip("cv2")
    for number in range(1, num_images + 1):
        image = tmp_path / "videos" / "Biking" / BIKING / f"{number:05d}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), np.zeros((24, 32, 3), np.uint8))
    path = write(tmp_path / f"{BIKING}.xgtf", sourcefile(person(box("1:9"), action("1:9"))))
    (video,) = read_xgtf(path, source=VideoSource(root=tmp_path / "videos")).videos
    assert (video.num_frames, video.height, video.width) == (expected, 24, 32)
    assert video.path == tmp_path / "videos" / "Biking" / BIKING


ACTIVE = action("1:9")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no sourcefile in its data"),
        (sourcefile(person(box("1:1"), action("1:1", name="Archery"))), r"should be the action Biking, but found \[\]"),
        (sourcefile(person(box("1:1"), ACTIVE, action("1:1", name="Biking "))), r"found \['Biking ', 'biking'\]"),
        (sourcefile(person(box("0:1"), ACTIVE)), "object 0: Location: .* has the span '0:1', not first:last from 1"),
        (sourcefile(person(box("5:4"), ACTIVE)), "the span '5:4'"),
        (sourcefile(person(box("5"), ACTIVE)), "the span '5'"),
        (sourcefile(person(box(""), ACTIVE)), "the span ''"),
        (sourcefile(person(box("1:999999999"), ACTIVE)), "its spans have 999999999 frames"),
        (sourcefile(person(box("1:9") + box("9:10"), ACTIVE)), r"several spans have frame 9 \(counted from 1\)"),
        (sourcefile(person(box("1:9"), action("1:5", "5:9"))), "the action: several spans have frame 5"),
        (
            sourcefile(person(box("1:1", x="a"), ACTIVE)),
            "Location has <bbox .*>, not a box with x, y, width and height",
        ),
        (sourcefile(person(box("1:1", width="nan"), ACTIVE)), "Location has <bbox"),
        (sourcefile(person(box("1:1", height="1e30"), ACTIVE)), "Location has <bbox"),
        (sourcefile(person("<data:point framespan='1:1'/>", ACTIVE)), "Location has <point"),
        (sourcefile(person(box("1:1"), action("1:1", value="maybe"))), "the action has <bvalue .*neither true nor"),
        (sourcefile(person(box("1:1"), ACTIVE), num_frames="many"), "NUMFRAMES is 'many', not a number of frames"),
        (sourcefile(person(box("1:1"), ACTIVE), num_frames=-1), "NUMFRAMES is '-1'"),
        (sourcefile().replace("NUMFRAMES", ""), "0 frames of 240 x 320"),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / f"{BIKING}.xgtf", content)
    with pytest.raises(AnnotationError, match=rf"{BIKING}\.xgtf: .*{message}"):
        read_xgtf(path, source=SOURCE)


def test_all_broken_files_of_a_folder_are_named(tmp_path: Path) -> None:
    for number in range(1, 13):
        write(tmp_path / f"v_Biking_g{number:02d}_c01.xgtf")
    write(tmp_path / "v_Biking_g20_c01.xgtf", sourcefile())
    with pytest.raises(AnnotationError) as error:
        read_xgtf(tmp_path, source=SOURCE)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{tmp_path}: 12 of 13 files cannot be read:"
    assert len(lines) == 11
    assert "v_Biking_g01_c01.xgtf: has no sourcefile" in lines[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("biking.xgtf", "the name is not v_<Class>_gNN_cNN.xgtf"),
        ("v_Archery_g01_c01.xgtf", "with one of the classes Basketball, "),
        ("Diving/v_Biking_g01_c01.xgtf", "a video of Biking in the folder of Diving; move it"),
    ],
)
def test_a_name_without_a_class_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_xgtf(write(tmp_path / name, sourcefile()), source=SOURCE)


def test_a_video_that_is_annotated_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / f"{BIKING}.xgtf", sourcefile())
    write(tmp_path / "Biking" / f"{BIKING}.xgtf", sourcefile())
    with pytest.raises(AnnotationError, match=rf"{tmp_path}: video Biking/{BIKING} is annotated twice"):
        read_xgtf(tmp_path, source=SOURCE)


def test_a_missing_file_a_folder_without_files_and_an_unknown_size_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=rf"{BIKING}\.xgtf: there is no such annotation file"):
        read_xgtf(tmp_path / f"{BIKING}.xgtf", source=SOURCE)
    with pytest.raises(DataNotFoundError, match=r"there are no \.xgtf files in this folder"):
        read_xgtf(tmp_path, source=SOURCE)
    path = write(tmp_path / f"{BIKING}.xgtf", sourcefile())
    with pytest.raises(AnnotationError, match=r"does not say the size of video Biking/v_Biking_g01_c01; .*--size"):
        read_xgtf(path)
    with pytest.raises(DataNotFoundError, match="video Biking/v_Biking_g01_c01 is not in"):
        read_xgtf(path, source=VideoSource(root=tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<viper><data>",
        b"\xff\xfe\x00<",
        b'<?xml version="1.0" encoding="no-such"?><viper/>',
        b'<!DOCTYPE v [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><viper>&b;</viper>',
        b'<!DOCTYPE v [<!ENTITY a SYSTEM "file:///etc/passwd">]><viper>&a;</viper>',
        b"<a>" * 100_000 + b"</a>" * 100_000,
        b"<viper/>",
    ],
)
def test_hostile_xml_is_an_annotation_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"{BIKING}.xgtf"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=rf"{BIKING}\.xgtf: "):
        read_xgtf(path, source=SOURCE)


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / f"{BIKING}.xgtf", sourcefile())
    monkeypatch.setattr(xgtf, "_MAX_BYTES", 99)
    with pytest.raises(AnnotationError, match=rf"{BIKING}\.xgtf: has more than"):
        read_xgtf(path, source=SOURCE)


def difference(original: Tube, corrected: Tube) -> float:
    """The largest difference of a coordinate, with boxes cut as the corrected ones are; infinite for another span.

    The corrected tubes begin on the same frame, and many last for one or two frames longer.
    """
    boxes, common = original.boxes_at(corrected.frames)
    if original.frames[0] != corrected.frames[0] or common.sum() < len(corrected) - 2:
        return np.inf
    return float(np.abs(np.clip(boxes, 1, [320, 240, 320, 240]) - corrected.boxes)[common].max())


@pytest.mark.data
def test_the_real_files_agree_with_the_corrected_annotations(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of the 24 corrected tubes, 17 have the boxes of an original one, and 6 are off by at most a pixel.

    The last one was drawn anew.
    """
    with caplog.at_level(logging.INFO):
        original = read_xgtf(shared / "annotations/ucf24/xgtf", source=SOURCE)
    assert "1 files have several sourcefiles; the first is read" in caplog.text
    assert "244 boxes reach beyond the image; they are kept" in caplog.text
    corrected = {v.key: v for v in read_pyannot(shared / "annotations/ucf24/pyannot.pkl").videos}
    differences = [
        min(difference(other, tube) for other in video.tubes)
        for video in original.videos
        for tube in corrected[video.key].tubes
    ]
    assert len(differences) == 24
    assert differences.count(0) == 17
    assert sum(value <= 1 for value in differences) == 23
    assert max(differences) < np.inf


@pytest.mark.data
def test_with_their_videos_the_real_files_have_the_annotated_lengths(shared: Path) -> None:
    """Among them are two that decode to fewer frames, and one whose NUMFRAMES is 17 too small."""
    corrected = {v.key: v for v in read_pyannot(shared / "annotations/ucf24/pyannot.pkl").videos}
    source = VideoSource(root=shared / "media/ucf24_real/videos")
    files = sorted((shared / "annotations/ucf24/xgtf").glob("v_[!B]*")) + sorted(
        (shared / "annotations/ucf24/xgtf").glob("v_Biking*")
    )
    assert len(files) == 19  # the video of the other one is not here
    for file in files:
        (video,) = read_xgtf(file, source=source).videos
        assert video.num_frames == corrected[video.key].num_frames, video.key
        assert video.path.suffix == ".avi"
