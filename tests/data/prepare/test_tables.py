import dataclasses

from stal.data.prepare.tables import build_tables


def test_the_rule_of_every_video_is_found_and_the_bad_ones_are_named(sources, annotate, tmp_path):
    (tmp_path / "text.avi").write_text("no video")
    bad = [annotate(tmp_path / "text.avi"), annotate(tmp_path / "missing.avi")]
    videos = [sources[kind] for kind in ("closed.mp4", "gap.mp4", "short.avi", "folder")]
    report = build_tables([*videos, *bad])
    assert report.rules == {"closed": "order", "gap": "time", "short": "clamp", "folder": "order"}
    assert list(report.bad) == ["text", "missing"]
    assert "FFmpeg cannot decode it" in report.bad["text"]
    assert "there is no such video" in report.bad["missing"]


def test_an_annotation_that_no_rule_explains_is_bad(sources):
    report = build_tables([dataclasses.replace(sources["closed.mp4"], num_frames=99)])
    assert "30 frames decode, but 99 are annotated" in report.bad["closed"]


def test_tables_are_built_in_processes_and_kept_on_disk(data_set, tmp_path, monkeypatch):
    monkeypatch.setenv("STAL_CACHE", str(tmp_path / "tables"))
    report = build_tables(data_set.videos, num_processes=2)
    assert set(report.rules.values()) == {"order"}
    assert len(list((tmp_path / "tables").iterdir())) == 3


def test_no_videos_have_no_tables():
    assert build_tables([]).rules == {}
