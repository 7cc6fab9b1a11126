"""What a run's figures call for next, and what stands out in them."""

import pytest

from lwdash.advice.evidence import Evidence
from lwdash.advice.run_findings import findings, growth_reason
from lwdash.advice.suggestions import MAX_SUGGESTIONS, suggest
from lwdash.recipe import parse_recipe

GOOD = {"verdict": "equivalent", "accuracy": 0.95, "baseline_accuracy": 0.95, "rows": 1000, "sqnr_db": 42.0}
BAD = {"verdict": "worse", "accuracy": 0.90, "baseline_accuracy": 0.95, "rows": 1000, "sqnr_db": 18.0}


def operator(layer, sqnr, *, kernel=64, dtype="int8", kind="CONV_2D", path=None):
    return {
        "type": kind, "layer": layer, "name": f"model/{path or layer}/Conv2D", "output_sqnr_db": sqnr, "subgraph": 0,
        "kernel_values": kernel, "input_dtype": dtype, "output_dtype": dtype, "distinct_values": 9,
    }  # fmt: skip


def evidence(recipe, figures, *, layers=(), facts=None, can_train=True):
    stages = [{"name": recipe, "facts": facts or {}}]
    return Evidence(recipe, figures, {"stages": stages}, {"layers": list(layers)}, can_train=can_train)


def recipes(found):
    return [s.recipe for s in suggest(found)]


LOSSY = [operator("conv", 40.0), operator("conv_1", 14.0), operator("dense", 13.0, kind="FULLY_CONNECTED")]


def test_the_layer_that_loses_the_signal_is_kept_in_16_bit_with_the_runs_own_parameters():
    found = suggest(evidence("int8(io=float32, per_channel=false)", BAD, layers=LOSSY))[0]
    assert found.recipe == "mixed(default=int8, conv_1=int16x8, io=float32, per_channel=false)"
    assert found.title == "Keep conv_1 in 16 bit"
    assert "14.0 dB" in found.reason
    assert "40.0 dB" in found.reason


def test_a_second_layer_joins_the_first_in_a_mixed_recipe():
    mixed = "mixed(default=int8, conv=int16x8)"
    assert "mixed(default=int8, conv=int16x8, conv_1=int16x8)" in recipes(evidence(mixed, BAD, layers=LOSSY))


def test_a_layer_that_recipes_cannot_name_is_not_suggested():
    unknown = [{**LOSSY[0]}, {**LOSSY[1], "layer": None}, {**LOSSY[2], "layer": None}]
    assert evidence("int8", BAD, layers=unknown).lost_signal.layer == "conv"
    assert evidence("int8", BAD, layers=unknown[1:]).lost_signal is None


def test_a_layer_is_named_by_its_kernel_whatever_was_fused_into_its_output():
    fused = [LOSSY[0], {**LOSSY[1], "name": "relu_1/Relu"}]
    assert evidence("int8", BAD, layers=fused).lost_signal.layer == "conv_1"


def test_a_lost_number_asks_for_a_last_layer_in_float_and_16_bits():
    output = {"name": "both/concat", "is_constant": True, "variation_sqnr_db": -0.1, "worst_target": 1}
    figures = {
        "outputs": [output],
        "output_findings": ["Number 2 is the same in every row."],
        "verdict": "worse",
    }
    layers = [operator("conv", 40.0), {**operator("both", 38.0), "kernel_values": 0, "name": "both/concat"}]
    lost = evidence("int8", figures, layers=layers)
    assert recipes(lost)[:2] == ["mixed(default=int8, both=float32, io=float32)", "int16x8"]
    assert "Number 2 of 'both/concat' no longer follows the original." in suggest(lost)[0].reason
    assert findings(lost)[0].kind == "problem"


def test_after_training_a_layer_is_not_blamed_for_what_pruning_did():
    """Its weights differ from the baseline's since they were trained; rounding itself lost nothing (45 dB)."""
    found = recipes(evidence("prune(sparsity=0.8) + int8", BAD, layers=LOSSY, facts={"sqnr_db": 45.0}))
    assert found == ["prune(sparsity=auto, mean_sparsity=0.8) + int8", "prune(sparsity=0.6) + int8"]


def test_rounding_that_loses_after_training_asks_for_the_form_of_qat_that_keeps_the_structure():
    found = evidence("prune(sparsity=0.5) + cluster(clusters=16) + int8", BAD, facts={"sqnr_db": 12.0})
    titles = {s.title: s.recipe for s in suggest(found)}
    assert titles["Quantization-aware (PCQAT)"] == "prune(sparsity=0.5) + cluster(clusters=16) + qat + int8"
    clip = next(s.reason for s in suggest(found) if s.title == "Clip outliers")
    assert "12.0 dB SQNR on calibration rows" in clip, "the figures' own is of evaluation rows"


@pytest.mark.parametrize(
    ("recipe", "figures", "facts", "expected"),
    [
        ("int8(per_channel=false)", BAD, {}, "int8"),
        ("int8", BAD, {"calibration_rows": 256}, "int8(rows=1024)"),
        ("int8", BAD, {}, "qat + int8"),
        ("int8", BAD, {}, "int8(ranges=mse)"),
        ("cluster(clusters=16) + int8", BAD, {"sqnr_db": 50.0}, "cluster(clusters=32) + int8"),
        ("prune(sparsity=0.5) + int8", GOOD, {}, "prune(sparsity=0.75) + int8"),
        ("prune(sparsity=0.8) + int8", BAD, {}, "prune(sparsity=auto, mean_sparsity=0.8) + int8"),
        ("cluster(clusters=16) + int8", GOOD, {}, "cluster(clusters=8) + int8"),
        ("float16", GOOD, {}, "int8"),
        ("dynamic", GOOD, {}, "dynamic(bits=4)"),
        ("weight_only(bits=4, algorithm=minmax)", BAD, {}, "weight_only(bits=4, algorithm=gptq)"),
        ("dynamic(bits=4)", BAD, {}, "dynamic"),
        ("int8(bits=4)", BAD, {}, "int8"),
        ("int8", GOOD, {}, "int8(bits=4)"),
        ("dynamic(bits=4, algorithm=gptq)", BAD, {}, "dynamic(algorithm=gptq)"),
        ("int8", GOOD, {}, "prune(sparsity=0.5) + int8"),
        ("float32", {**GOOD, "is_baseline": True, "size_bytes": 10_000}, {}, "int8"),
    ],
)  # fmt: skip
def test_what_the_figures_call_for(recipe, figures, facts, expected):
    assert expected in recipes(evidence(recipe, figures, facts=facts))


@pytest.mark.parametrize(
    "recipe",
    [
        "prune(sparsity=auto) + int8",
        "prune(sparsity=0.5, layers=[a=0.2]) + cluster(clusters=16) + int8",
        "prune(sparsity=0.5, structure=2:4) + int8",
        "prune(sparsity=0.5, scope=global) + int8",
    ],
)
def test_pruning_that_differs_by_layer_or_has_a_pattern_is_not_offered_by_layer(recipe):
    for figures in (BAD, GOOD):
        assert not any("mean_sparsity" in text for text in recipes(evidence(recipe, figures)))


def test_rows_that_were_all_used_are_not_asked_for_again():
    assert not any("rows=" in r for r in recipes(evidence("int8", BAD, facts={"calibration_rows": 99})))


def test_clusters_torn_by_scales_a_channel_get_one_scale():
    torn = {"kernel": "conv:0", "is_found": True, "zeros": 0, "zeros_kept": None, "distinct": 16,
            "distinct_stored": 90}  # fmt: skip
    found = evidence("cluster(clusters=16) + int8", GOOD, facts={"audit": [torn]})
    assert "cluster(clusters=16) + int8(per_channel=false)" in recipes(found)
    [problem] = [f.text for f in findings(found) if f.kind == "problem"]
    assert problem == "conv: the 16 shared values from clustering are 90 in the file."


def test_clusters_that_hold_in_each_channel_are_no_problem_and_not_called_kept():
    apart = {"kernel": "conv:0", "is_found": True, "zeros": 0, "zeros_kept": None, "distinct": 16,
             "distinct_stored": 90, "distinct_in_channel": 13}  # fmt: skip
    whole = {**apart, "kernel": "dense:0", "distinct_stored": 16}
    found = evidence("cluster(clusters=16) + int8", GOOD, facts={"audit": [apart, whole]})
    said = [f for f in findings(found) if "shared" in f.text.lower() or "clustering" in f.text.lower()]
    assert [(f.kind, f.text) for f in said] == [
        ("note", "Shared values differ between channels in 1 of 2 clustered kernels: the 16 of conv are 90 in the "
                 "file, at most 13 in a channel."),
    ]  # fmt: skip
    assert "cluster(clusters=16) + int8(per_channel=false)" in recipes(found)
    trained = evidence("cluster(clusters=16) + qat", GOOD, facts={"audit": [apart]})
    assert not any("per_channel=false" in recipe for recipe in recipes(trained))


def test_operators_left_in_float_are_named_and_another_quantizer_offered():
    island = operator("gelu", 40.0, kernel=0, dtype="float32", kind="GELU")
    borders = {**island, "type": "QUANTIZE"}
    found = evidence("int8", GOOD, layers=[LOSSY[0], island, borders])
    assert recipes(found)[0] == "int8(backend=tflite)"
    assert findings(found)[0].kind == "problem"
    assert "1 operator computes in float: GELU" in findings(found)[0].text
    assert "Integer throughout" in findings(evidence("int8", GOOD, layers=LOSSY))[0].text


def test_a_model_that_cannot_be_trained_gets_no_training():
    for recipe, figures in (("int8", BAD), ("int8", GOOD), ("float32", GOOD)):
        found = [parse_recipe(r) for r in recipes(evidence(recipe, figures, can_train=False))]
        assert not any(recipe.is_trained for recipe in found)


@pytest.mark.parametrize("figures", [GOOD, BAD, {}, {"verdict": "cannot tell", "agreement": 0.9, "rows": 50}])
@pytest.mark.parametrize(
    "recipe",
    ["float32", "float16", "dynamic(bits=4)", "weight_only", "int8(backend=tflite)", "int16x8", "mixed(default=float32)",
     "prune(sparsity=0.99) + int8", "qat", "prune(sparsity=0.5) + qat", "channels + int8", "low_rank + float16",
     "cluster(clusters=2)"],
)  # fmt: skip
def test_every_suggestion_is_a_recipe_in_canonical_form_and_another_one(recipe, figures):
    own = str(parse_recipe(recipe))
    found = recipes(evidence(recipe, figures, layers=LOSSY, facts={"calibration_rows": 256}))
    assert len(found) == len(set(found)) <= MAX_SUGGESTIONS
    assert [str(parse_recipe(r)) for r in found] == found
    assert own not in found


def test_a_recipe_that_is_no_longer_read_gives_no_suggestions_and_no_exception():
    found = evidence("int9(x=1)", GOOD, layers=LOSSY)
    assert suggest(found) == []
    assert findings(found) == []


def test_zeros_that_the_file_stores_are_said_with_the_remedy():
    figures = {**GOOD, "sparsity": 0.8, "size_bytes": 12_800, "gzip_bytes": 5_600}
    kept = {
        "kernel": "conv:0",
        "is_found": True,
        "zeros": 90,
        "zeros_kept": 1.0,
        "distinct": 9,
        "distinct_stored": None,
    }
    found = findings(evidence("prune(sparsity=0.8) + int8", figures, facts={"audit": [kept]}))
    assert found[0].text.startswith("All 90 zeros from pruning are zeros in the file")
    assert "12.8 kB, and 5.6 kB gzipped" in found[1].text
    assert found[1].text.endswith("To try next: prune(sparsity=0.8) + int8 + sparse.")
    found = findings(evidence("prune(sparsity=0.8) + int8 + sparse", figures, facts={"audit": [kept]}))
    assert "does not store the zeros" in found[1].text


@pytest.mark.parametrize(
    ("recipe", "zeros", "is_suggested"),
    [
        ("prune(sparsity=0.8) + int8", 0.8, True),
        ("prune(sparsity=0.5)", 0.5, True),
        ("prune(sparsity=0.5) + float16", 0.5, True),
        ("prune(sparsity=0.5) + int8", 0.5, False),
        ("prune(sparsity=0.8) + dynamic", 0.8, False),
        ("prune(sparsity=0.8) + weight_only(bits=4)", 0.8, False),
        ("prune(sparsity=0.8) + int8 + sparse", 0.8, False),
        ("int8", 0.8, False),
    ],
)
def test_sparse_storage_is_suggested_where_it_makes_the_file_smaller(recipe, zeros, is_suggested):
    found = suggest(evidence(recipe, {**GOOD, "sparsity": zeros}))
    assert any(s.recipe.endswith("sparse") and s.title == "Use sparse storage" for s in found) == is_suggested


def test_suggestions_keep_the_storage_form():
    found = suggest(evidence("prune(sparsity=0.8) + int8 + sparse", {**GOOD, "sparsity": 0.8}))
    assert found
    assert all(s.recipe.endswith("+ sparse") for s in found if "prune" in s.recipe)


def test_lost_zeros_are_a_problem_with_their_share():
    lost = {
        "kernel": "conv:0",
        "is_found": True,
        "zeros": 100,
        "zeros_kept": 0.4,
        "distinct": 9,
        "distinct_stored": None,
    }
    unknown = {"kernel": "dense:0", "is_found": False, "zeros": 0, "zeros_kept": None, "distinct": 0,
               "distinct_stored": None}  # fmt: skip
    found = findings(evidence("prune(sparsity=0.8) + int8", GOOD, facts={"audit": [lost, unknown]}))
    assert [f.kind for f in found] == ["problem", "note"]
    assert "60 % of the 100 zeros" in found[0].text


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (BAD, "accuracy −5.0 points"),
        (GOOD, "the same accuracy as the original"),
        (
            {**BAD, "verdict": "cannot tell", "rows": 40},
            "accuracy −5.0 points (not significant with 40 rows)",
        ),
        ({"agreement": 0.98}, "2.0 % of the rows get another class than with the original"),
        ({"sqnr_db": 31.24}, "outputs at 31.2 dB SQNR"),
    ],
)
def test_a_loss_in_words(figures, words):
    assert evidence("int8", figures).loss_text == words


def test_a_recurrent_network_in_integers_is_told_to_be_written_out_step_by_step():
    unrolled = {"made_by": "litert-quantizer, recurrent layers unrolled"}
    figures = {**GOOD, "size_bytes": 73_296, "baseline_size_bytes": 15_392}
    stages = [
        {"name": "recurrent layers unrolled", "facts": {"time_steps": 12}},
        {"name": "int8", "facts": unrolled},
    ]
    said = [f.text for f in findings(Evidence("int8", figures, {"stages": stages}, {"layers": []}))]
    assert any("12 consecutive steps" in text and "15.4 kB became 73.3 kB" in text for text in said)
    larger = Evidence("prune(sparsity=0.5) + int8", figures, {"stages": stages}, {"layers": []})
    assert [
        (f.kind, "4.8 times" in f.text, f.text.endswith("To try next: prune(sparsity=0.5) + dynamic."))
        for f in findings(larger)
        if "consecutive steps" in f.text
    ] == [("problem", True, True)]
    assert suggest(larger)[0].recipe == "prune(sparsity=0.5) + dynamic"
    smaller = Evidence("int8", {**figures, "size_bytes": 9_000}, {"stages": stages}, {"layers": []})
    assert "dynamic" not in recipes(smaller)[:1]
    kept = [{"name": "recurrent layers unrolled", "facts": {"time_steps": 12}}, {"name": "int8", "facts": {}}]
    assert not [
        f for f in findings(Evidence("int8", figures, {"stages": kept}, {})) if "consecutive steps" in f.text
    ]


def test_what_was_changed_of_the_model_is_said():
    changed = "The model was saved for 32 rows at once, the file takes one row at a time."
    stages = [{"name": "float32", "facts": {"canonical_form": {"changes": [changed]}}}]
    assert changed in [f.text for f in findings(Evidence("float32", GOOD, {"stages": stages}, {}))]


def test_what_runs_outside_of_the_fast_kernels_is_told_with_its_time():
    rows = [
        {"type": "CONV_2D", "is_in_xnnpack": True, "time_share": 0.25},
        {"type": "CONV_2D", "is_in_xnnpack": False, "time_share": 0.5},
        {"type": "SOFTMAX", "is_in_xnnpack": False, "time_share": 0.2},
        {"type": "DEQUANTIZE", "is_in_xnnpack": None, "time_share": None},
    ]
    found = findings(Evidence("int8", GOOD, {}, {"layers": rows}))
    assert any("the 2 operators outside XNNPACK take 70 % of the time" in f.text for f in found)
    rows[1]["time_share"] = None  # not timed yet
    assert not any(
        "Timed one by one" in f.text for f in findings(Evidence("int8", GOOD, {}, {"layers": rows}))
    )


# What LiteRT's fast kernels do not take.


def outside(**counts):
    found = [{"type": kind, "count": count, "layers": []} for kind, count in counts.items()]
    return {"inside": 3, "outside": sum(counts.values()), "partitions": 2, "outside_operators": found}


@pytest.mark.parametrize(
    ("recipe", "left", "expected"),
    [
        ("weight_only(bits=4)", {"CONV_2D": 5}, ["dynamic(bits=4)", "dynamic"]),
        (
            "weight_only(bits=4, algorithm=mse)",
            {"FULLY_CONNECTED": 1},
            ["dynamic(bits=4, algorithm=mse)", "dynamic"],
        ),
        ("dynamic(bits=4)", {"CONV_2D": 2}, ["dynamic"]),
        ("dynamic(backend=tflite)", {"DEPTHWISE_CONV_2D": 7}, ["dynamic"]),
        ("int16x8", {"CONV_2D": 5}, ["int8"]),
        ("int16x8", {"SOFTMAX": 1}, []),
    ],
)
def test_a_file_slowed_down_by_built_in_kernels_leads_to_what_the_fast_ones_take(recipe, left, expected):
    slow = {**GOOD, "speedup": 0.21, "xnnpack": outside(**left)}
    found = [s for s in suggest(evidence(recipe, slow)) if "0.21 times" in s.reason]
    assert [s.recipe for s in found] == expected
    assert all(
        (f"{kind} ×{count} run " if count > 1 else f"{kind} runs ") in s.reason
        for s in found
        for kind, count in left.items()
    )
    for fast in ({**slow, "speedup": 1.3}, {**slow, "speedup": 0.98, "speedup_ci": [0.95, 1.01]}):
        assert not [s for s in suggest(evidence(recipe, fast)) if "fast kernels" in s.reason]
    assert not [
        s for s in suggest(evidence(recipe, GOOD)) if "fast kernels" in s.reason
    ]  # an earlier version's run


def test_a_file_that_fast_kernels_run_as_a_whole_is_said_to_be():
    whole = {"inside": 12, "outside": 0, "partitions": 1, "outside_operators": []}
    found = findings(evidence("dynamic", {**GOOD, "xnnpack": whole}))
    assert any(f.kind == "good" and "all 12 operators" in f.text for f in found)
    cut = findings(evidence("dynamic", {**GOOD, "xnnpack": outside(CONV_2D=2)}))
    assert not any("fast kernels" in f.text for f in cut)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("cluster(clusters=16) + int8", {"lut", "coded"}),
        ("prune(sparsity=0.8) + cluster(clusters=16) + int8", {"lut", "coded", "sparse"}),
        ("cluster(clusters=16) + float16", {"coded"}),
        ("cluster(clusters=16) + int8 + coded", set()),
        ("int8", set()),
    ],
)
def test_storage_forms_are_suggested_for_what_they_make_smaller(recipe, expected):
    zeros = 0.8 if "prune" in recipe else 0.0
    steps = [
        parse_recipe(s.recipe).storage_step for s in suggest(evidence(recipe, {**GOOD, "sparsity": zeros}))
    ]
    found = {step.name for step in steps if step} - ({"coded"} if "coded" in recipe else set())
    assert found == expected


UNROLLED = [
    {"name": "recurrent layers unrolled", "facts": {"time_steps": 12}},
    {"name": "int8", "facts": {"made_by": "litert-quantizer, recurrent layers unrolled"}},
]
GROWN = {**BAD, "size_bytes": 73_296, "baseline_size_bytes": 15_392}
LOST = {
    **BAD,
    "output_findings": [
        "The output 'y' is constant. Try int16x8, a last layer in float32 (mixed), or a recipe that removes less."
    ],
    "outputs": [{"name": "y", "is_constant": True, "variation_sqnr_db": -0.1, "worst_target": None}],
}  # fmt: skip
ZEROS = {**GOOD, "size_bytes": 12_800, "gzip_bytes": 5_600, "sparsity": 0.8}


@pytest.mark.parametrize(
    "recipe",
    ["int8", "int16x8", "float16", "dynamic", "prune(sparsity=0.8) + int8", "prune(sparsity=0.8) + dynamic"],
)
@pytest.mark.parametrize("figures", [GOOD, BAD, GROWN, LOST, ZEROS])
@pytest.mark.parametrize("stages", [[], UNROLLED])
def test_a_finding_names_no_recipe_but_a_suggested_one(recipe, figures, stages):
    one = Evidence(recipe, figures, {"stages": stages}, {"layers": LOSSY})
    suggested = recipes(one)
    for finding in findings(one):
        text, _, named = finding.text.partition("To try next: ")
        assert not named or named.removesuffix(".") in suggested
        assert not any(word in text for word in ("Try ", "Add sparse", "Use dynamic", "With dynamic"))


def test_who_asked_for_unrolled_layers_is_told_of_integer_loops():
    one = Evidence(
        "prune(sparsity=0.5) + int8(loops=unrolled)", GROWN, {"stages": UNROLLED}, {"layers": LOSSY}
    )
    assert recipes(one)[0] == "prune(sparsity=0.5) + int8"
    assert not any("loops=unrolled" in recipe for recipe in recipes(one))


def test_what_follows_a_grown_integer_file_is_no_integer_file():
    one = Evidence("int8", GROWN, {"stages": UNROLLED}, {"layers": LOSSY})
    assert recipes(one)[0] == "dynamic"
    assert not any("int8" in recipe or "int16x8" in recipe for recipe in recipes(one))
    assert "unrolled into 12 consecutive steps" in growth_reason(one)
    assert growth_reason(Evidence("int8", GOOD, {"stages": UNROLLED}, {"layers": []})) == ""
