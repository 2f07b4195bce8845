"""The page of a check: findings, classes, sample frames and videos, in one HTML file that loads nothing."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from stal.checks.annotation_table import VideoEntry
from stal.checks.distributions import Bars, count_lengths, count_sizes, draw_box_map
from stal.checks.finding import Finding
from stal.checks.labels import count_tubes
from stal.checks.opening import VideoRecord
from stal.checks.page_style import STYLE
from stal.checks.report import CheckReport
from stal.checks.samples import Picture

_RULES = {
    "order": "frame i of the annotation is the i-th that decodes",
    "time": "frame i is the one shown at its time; where packets are empty, the frame before is held",
    "clamp": "the last one or two frames are missing, and the last that decodes stands in for them",
}


def make_page(report: CheckReport, found: Sequence[Picture], of_classes: Sequence[Picture]) -> str:
    """Return the page as HTML.

    Args:
        report: the result of all checks.
        found: pictures of what was found.
        of_classes: pictures of tubes of every class.
    """
    sections = [
        _header(report),
        _section("Findings", "".join(map(_finding, report.findings)) or _panel("Nothing was found.")),
        _section("Frames with findings", _pictures(report, found)) if found else "",
    ]
    if len(report.table.videos):
        sections += [
            _section("Tubes of each class", _panel(_classes(report))),
            _section("Boxes and tubes", _distributions(report)) if len(report.table.boxes) else "",
            _section("First and last frames of tubes", _pictures(report, of_classes)) if of_classes else "",
            _section("Videos", _videos(report)),
        ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Data check: {escape(report.source)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body><main>\n{_join(sections)}</main></body>\n</html>\n"
    )


def _header(report: CheckReport) -> str:
    counts = report.count_levels()
    scores = [value for value in (report.self_score or {}).values() if value is not None]
    score = f"{min(scores):.2f}" if scores else "-"
    is_full = bool(scores) and min(scores) >= 99.995
    tiles = [
        _tile("videos", f"{len(report.table.videos):,}"),
        _tile("tubes", f"{len(report.table.tube_videos):,}"),
        _tile("boxes", f"{len(report.table.boxes):,}"),
        _tile("classes", f"{len(report.table.classes):,}"),
        _tile("ground truth against itself", score, "good" if is_full else "warning"),
        _tile("errors", str(counts["error"]), "error" if counts["error"] else "good"),
        _tile("warnings", str(counts["warning"]), "warning" if counts["warning"] else "good"),
    ]
    splits = report.table.splits
    named = ", ".join(
        f"{sum(video.split == split for video in report.table.videos):,} of {split or 'no split'}" for split in splits
    )
    about = f"{report.describe_opened()}; videos by split: {named}" if splits else report.describe_opened()
    return (
        f'<h1>Data check</h1><p class="mono">{escape(report.source)}</p><p class="soft">{escape(about)}</p>'
        f'<div class="tiles">{_join(tiles)}</div>'
    )


def _tile(name: str, value: str, kind: str = "") -> str:
    return f'<div class="tile {kind}"><b>{escape(value)}</b><span>{escape(name)}</span></div>'


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{content}\n"


def _panel(content: str, kind: str = "") -> str:
    return f'<div class="panel {kind}">{content}</div>'


def _finding(finding: Finding) -> str:
    examples = ""
    if finding.examples:
        columns = {
            ("video", "mono"): [example.video for example in finding.examples],
            ("tube", "number"): [_text(example.tube) for example in finding.examples],
            ("frame", "number"): [_text(example.frame) for example in finding.examples],
            ("what is there", ""): [example.value for example in finding.examples],
        }
        columns = {title: texts for title, texts in columns.items() if any(texts)}
        kinds = [kind for _, kind in columns]
        rows = (_row(zip(texts, kinds, strict=True)) for texts in zip(*columns.values(), strict=True))
        examples = f'<table class="examples">{_row(columns, "th")}{_join(rows)}</table>'
    return (
        f'<div class="finding {finding.level}"><p><span class="level">{finding.level}</span>'
        f"<code>{escape(finding.code)}</code></p><p>{escape(finding.what)}</p>"
        f'<p class="remedy">{escape(finding.remedy)}</p>{examples}</div>\n'
    )


def _row(cells: Iterable[tuple[str, str]], tag: str = "td") -> str:
    """Return a row of texts, each with the name of its style."""
    row = "".join(f'<{tag} class="{kind}">{escape(text)}</{tag}>' for text, kind in cells)
    return f"<tr>{row}</tr>\n"


def _classes(report: CheckReport) -> str:
    """Return a row for each class, with the number of its tubes in each split as bars of one scale."""
    counts = count_tubes(report.table)
    longest = max(int(counts.max(initial=0)), 1)
    head = "".join(f'<th class="number">{escape(split or "tubes")}</th><th></th>' for split in report.table.splits)
    rows = []
    for label, name in enumerate(report.table.classes):
        cells = "".join(
            f'<td class="number">{count:,}</td><td style="width:{90 // len(counts)}%">{_bar(count, longest)}</td>'
            for count in counts[:, label].tolist()
        )
        rows.append(f'<tr><td class="number soft">{label}</td><td>{escape(name)}</td>{cells}</tr>\n')
    return f'<table class="bars"><tr><th></th><th>class</th>{head}</tr>{_join(rows)}</table>'


def _bar(count: int, longest: int) -> str:
    return f'<span class="bar" style="width:{100 * count / longest:.2f}%"></span>' if count else ""


def _distributions(report: CheckReport) -> str:
    image = _image(draw_box_map(report.table), "png", "map of boxes", "map")
    parts = (
        ("Where boxes are, of an image", image),
        ("Boxes, by their share of the image", _bars(count_sizes(report.table))),
        ("Tubes, by their frames with a box", _bars(count_lengths(report.table))),
    )
    panels = "".join(_panel(f"<h3>{escape(title)}</h3>{content}") for title, content in parts)
    return f'<div class="columns">{panels}</div>'


def _bars(bars: Bars) -> str:
    longest = max(*(count for _, count in bars), 1)
    cells = (
        f'<td>{escape(name)}</td><td class="number">{count:,}</td><td style="width:90%">{_bar(count, longest)}</td>'
        for name, count in bars
    )
    return f'<table class="bars">{_join(f"<tr>{some}</tr>" for some in cells)}</table>'


def _image(content: bytes, kind: str, text: str, style: str = "") -> str:
    return f'<img class="{style}" alt="{escape(text)}" src="data:image/{kind};base64,{b64encode(content).decode()}">'


def _pictures(report: CheckReport, pictures: Sequence[Picture]) -> str:
    figures = []
    for picture in pictures:
        video = report.table.videos[picture.sample.video]
        actors = "".join(
            f'<span class="actor"><span class="swatch" style="background:rgb{colour}"></span>{escape(name)}</span>'
            for colour, name in picture.actors
        )
        note = f'<p class="odd">{escape(picture.note)}</p>' if picture.note else ""
        figures.append(
            f"<figure>{_image(picture.jpeg, 'jpeg', f'frame {picture.sample.frame} of {video.key}')}<figcaption>"
            f'<p class="why">{escape(picture.sample.why)}</p>'
            f'<p class="soft">{escape(video.key)}, frame {picture.sample.frame}</p>{note}'
            f"<p>{actors or 'no box on this frame'}</p></figcaption></figure>\n"
        )
    return f'<div class="pictures">{_join(figures)}</div>'


def _videos(report: CheckReport) -> str:
    titles = ("video", "split", "tubes", "frames", "decoded", "rule", "size", "decoded", "file")
    head = _row([(title, "number" if title in ("tubes", "frames") else "") for title in titles], "th")
    nums = report.table.num_tubes_of().tolist()
    rows = (
        _row(_video_cells(video, record, num))
        for video, record, num in zip(report.table.videos, report.records, nums, strict=True)
    )
    rules = "".join(f"<p><code>{rule}</code>: {escape(text)}</p>" for rule, text in _RULES.items())
    table = f'<div class="panel scroll"><table>{head}{_join(rows)}</table></div>'
    return f'<div class="soft">{rules}</div><br>{table}'


def _video_cells(video: VideoEntry, record: VideoRecord, num_tubes: int) -> Iterable[tuple[str, str]]:
    is_read = record.num_decoded is not None
    same_size = (record.height, record.width) == (video.height, video.width)
    rule_style = {"order": "", "time": "odd", "clamp": "odd"}.get(record.rule or "", "bad")
    turned = f", turned by {record.rotation}°" if record.rotation else ""
    if not record.is_there:
        state = ("not there", "bad")
    elif not record.is_opened:
        state = ("not opened", "soft")
    else:
        state = (record.problem or "", "bad")
    return (
        (video.key, "mono"),
        (video.split, ""),
        (f"{num_tubes:,}", "number"),
        (f"{video.num_frames:,}", "number"),
        (_text(record.num_decoded), "" if record.num_decoded == video.num_frames else rule_style),
        (_text(record.rule) if is_read else "", rule_style),
        (f"{video.width} x {video.height}", ""),
        (f"{record.width} x {record.height}{turned}" if is_read else "", "" if same_size else "bad"),
        state,
    )


def _join(parts: Iterable[str]) -> str:
    return "".join(parts)


def _text(value: object) -> str:
    return "" if value is None else str(value)
