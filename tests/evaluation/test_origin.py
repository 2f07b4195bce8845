from pathlib import Path

from stal.evaluation.origin import code_digest, describe_origin


def test_the_digest_is_of_the_names_and_contents_of_python_files(tmp_path: Path):
    def digest(files: dict[str, str]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return code_digest(folder)

    files = {"a.py": "1", "b/c.py": "2"}
    assert digest(files) == digest({**files, "readme.txt": "3"})
    assert len({digest(f) for f in (files, {**files, "b/c.py": "3"}, {"a.py": "1", "b/d.py": "2"}, {"a.py": "1"})}) == 4


def test_the_origin_names_the_code():
    assert len(describe_origin()["code"]) == 12
