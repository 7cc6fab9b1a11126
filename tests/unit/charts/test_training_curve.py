"""The loss of a fine-tuning, epoch by epoch."""

from lwdash.charts.training_curve import describe_training_curve, plot_training_curve, training_curve

FOUND = {"loss": [[1, 0.8], [2, 0.4], [3, 0.1]], "held_out": [[0, 0.9], [3, 0.3]]}


def test_points_of_both_kinds_of_rows():
    points = training_curve(FOUND)
    assert list(points["kind"]) == ["learnt from"] * 3 + ["held out"] * 2
    assert list(points["epoch"]) == [1, 2, 3, 0, 3]


def test_held_out_rows_are_drawn_only_where_there_are_some():
    assert [trace.name for trace in plot_training_curve("prune", FOUND).data] == [
        "training rows",
        "held-out rows",
    ]
    only = {"loss": FOUND["loss"], "held_out": []}
    assert [trace.name for trace in plot_training_curve("prune", only).data] == ["training rows"]


def test_the_sparsity_has_an_axis_of_its_own_in_percent():
    pruned = {**FOUND, "sparsity": [[0, 0.0], [1, 0.3], [2, 0.5], [3, 0.5]]}
    figure = plot_training_curve("prune", pruned)
    line = figure.data[-1]
    assert (line.name, line.yaxis, list(line.y)) == ("sparsity", "y2", [0, 30, 50, 50])
    assert list(line.x) == [0, 1, 2, 3]
    assert figure.layout.yaxis2.side == "right"
    assert figure.layout.title.text == "Loss and sparsity of prune"


def test_losses_of_many_sizes_have_a_logarithmic_axis():
    assert plot_training_curve("prune", FOUND).layout.yaxis.type == "linear"
    steep = {"loss": [[1, 3.0], [2, 0.01]], "held_out": []}
    assert plot_training_curve("prune", steep).layout.yaxis.type == "log"
    touching = {"loss": [[1, 3.0], [2, 0.0]], "held_out": []}
    assert plot_training_curve("prune", touching).layout.yaxis.type == "linear"


def test_the_text_alternative_names_start_end_and_the_best_on_held_out_rows():
    text = describe_training_curve("prune", FOUND)
    assert "0.8 in epoch 1, 0.1 in epoch 3" in text
    assert "0.9 without fine-tuning, lowest 0.3 in epoch 3" in text
    pruned = {**FOUND, "sparsity": [[0, 0.0], [1, 0.3], [2, 0.5], [3, 0.5]]}
    assert "0.0 % before the first epoch, 50.0 % at the end" in describe_training_curve("prune", pruned)
    assert "held-out" not in describe_training_curve("prune", {"loss": [[1, 0.5]], "held_out": []})


def test_rounds_follow_each_other_and_are_not_joined():
    first = {"loss": [[1, 0.8], [2, 0.6]], "held_out": [[0, 0.9], [2, 0.7]], "sparsity": [[0, 0.0], [2, 0.3]]}
    last = {"loss": [[1, 0.7], [2, 0.5]], "held_out": [[0, 0.8], [2, 0.4]], "sparsity": [[0, 0.3], [2, 0.5]]}
    found = {**last, "earlier_rounds": [first]}
    figure = plot_training_curve("prune", found)
    assert list(figure.data[0].x) == [1, 2, None, 3, 4]
    assert list(figure.data[1].x) == [0, 2, None, 2, 4]
    assert list(figure.data[2].y) == [0, 30, None, 30, 50]
    assert [line.x0 for line in figure.layout.shapes] == [2]
    assert figure.layout.title.text == "Loss and sparsity of prune, 2 rounds"
    text = describe_training_curve("prune", found)
    assert text.startswith(
        "Loss of prune in 2 rounds; in the last of them on the rows learnt from: 0.7 in epoch 1"
    )
    assert "0.8 without fine-tuning, lowest 0.4 in epoch 2" in text
