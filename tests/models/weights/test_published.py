from pathlib import Path

import pytest

from stal.models.weights.published import PUBLISHED, say_where_to_get


def test_every_file_is_named_once_by_a_whole_address():
    urls = [published.url for published in PUBLISHED]
    assert len(set(urls)) == len(urls)
    assert all(url.startswith("https://") and url.endswith((".pyth", ".pkl", ".pth")) for url in urls)


@pytest.mark.parametrize("network", sorted({published.network for published in PUBLISHED}))
def test_a_file_is_looked_for_under_its_networks_name(network):
    text = say_where_to_get(Path(f"weights/{network}_ava.pth"))
    own = [published.url for published in PUBLISHED if published.network == network]
    assert [line.split()[-1] for line in text.splitlines() if "https://" in line] == own
    assert f"python tools/convert_weights.py FILE --out weights/{network}_ava.pth" in text


def test_a_file_of_another_name_may_be_any():
    assert say_where_to_get(Path("mine.pth")).count("https://") == len(PUBLISHED)
