from stal.evaluation.gradient_scores_table import print_gradient_scores

SCORES = (
    "inside_share",
    "volume_share",
    "points_at_actor",
    "insertion_auc",
    "deletion_auc",
    "random_weights_correlation",
)


def scores(value: float, interval: list[float] | None) -> dict:
    return {name: {"value": value, "interval": interval} for name in SCORES}


def test_methods_and_classes_stand_with_their_scores_and_intervals(capsys):
    table = {
        "methods": {
            "input_gradient": {
                "all": scores(0.4321, [0.4, 0.456]),
                "classes": {"wave [left]": {"num_actors": 3} | scores(0.125, None)},
            },
            "random_map": {"all": scores(0.05, None), "classes": {}},
        },
        "num_actors": 3,
        "num_videos": 2,
        "set": "iid",
        "checkpoint": "c.pth",
        "confidence": 0.95,
    }
    print_gradient_scores(table)
    rows = {
        line.split("│")[1].strip(): line.split("│")[2:-1]
        for line in capsys.readouterr().out.splitlines()
        if "│" in line
    }
    assert [cell.strip() for cell in rows["input_gradient"]] == ["43.2", "43.2", "43.2", "0.432", "0.432", "0.43"]
    assert rows["wave [left] (3)"][0].strip() == "12.5"
    assert rows["random_map"][3].strip() == "0.050"
