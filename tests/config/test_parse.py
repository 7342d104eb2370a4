from dataclasses import fields, is_dataclass

import pytest
import yaml

from clipnerf.config.data import SynthesizeConfig
from clipnerf.config.editing import EditConfig
from clipnerf.config.parse import keys_of, overview, parse
from clipnerf.config.paths import bundle_path
from clipnerf.config.verbs import VERBS
from clipnerf.errors import UsageError


def _fails(argv, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse(argv)
    assert "\n" not in str(caught.value)


def test_defaults_positionals_and_overrides():
    command = parse(
        ["edit", "folder", "--text", "a red chair", "--shape", "-1.5", "--seeds", "7,8"]
    )
    assert command.verb.name == "edit" and not command.dry_run
    assert command.config == EditConfig("folder", "a red chair", seeds=[7, 8], shape=-1.5)
    assert parse(["edit", "--text", "x"]).config.bundle == EditConfig().bundle
    assert parse(["edit", "--text", "x", "folder"]).config.bundle == "folder"
    assert parse(["edit", "--text=x", "--dry-run"]).dry_run


def test_words_stay_words():
    for text in ("5", "null", "a: b", "[a]", "true", "1e3", "- a", "{x}"):
        assert parse(["edit", "--text", text]).config.text == text


def test_flags_and_lists():
    config = parse(["data", "synthesize", "chairs", "--masks", "--count", "5"]).config
    assert config == SynthesizeConfig("chairs", 5, masks=True)
    assert not parse(["data", "synthesize", "--masks", "false"]).config.masks
    assert parse(["edit", "--text", "x", "--seeds", "[4]"]).config.seeds == [4]
    assert parse(["edit", "--text", "x", "--seeds=4"]).config.seeds == [4]


def test_nested_keys_and_files(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "steps: 7\ndata: {path: pictures}\ngenerator: {field: {levels: 5}, samples: 9}\n"
    )
    config = parse(["pretrain", "--config", str(file), "--generator.field.levels", "6"]).config
    assert (config.steps, config.data.path, config.generator.samples) == (7, "pictures", 9)
    assert config.generator.field.levels == 6
    # The command line wins over the file, wherever the file is named; of files, the later one.
    config = parse(["pretrain", "--generator.field.levels", "6", "--config", str(file)]).config
    assert config.generator.field.levels == 6
    other = tmp_path / "d.yaml"
    other.write_text("steps: 8")
    config = parse(["pretrain", "--config", str(file), "--config", str(other)]).config
    assert (config.steps, config.generator.field.levels) == (8, 5)


def test_a_file_that_holds_a_positional(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("bundle: mine\ntext: a chair\n")
    assert parse(["edit", "--config", str(file)]).config.bundle == "mine"
    assert parse(["edit", "other", "--config", str(file)]).config.bundle == "other"


def test_small_numbers_of_yaml(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("data: {path: pictures}\nloss: {lr_grid: 1e-4}\n")
    assert parse(["pretrain", "--config", str(file)]).config.loss.lr_grid == 1e-4


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["pretain"], "unknown verb 'pretain'; did you mean 'pretrain'"),
        (["data"], "unknown verb 'data'"),
        (["data", "chek"], "did you mean 'data check'"),
        (["study"], "unknown verb 'study'; 'clipnerf' lists"),
        (["study", "consistency"], "did you mean 'study view-consistency'"),
        (["edit", "--shap", "1"], "unknown key 'shap'; did you mean 'shape'"),
        (["pretrain", "--generator.field.level=6"], "did you mean 'generator.field.levels'"),
        (["pretrain", "--levels", "6"], "did you mean 'generator.field.levels'"),
        (["edit", "--dry_run", "--text", "x"], "did you mean 'dry-run'"),
        (["edit", "--zzzz", "1"], "unknown key 'zzzz'; 'clipnerf edit --help' lists all"),
    ],
)
def test_an_unknown_name_gets_the_nearest_known_one(argv, message):
    _fails(argv, message)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["edit", "--text", "x", "--size", "3.5"],
            "size is '3.5'; allowed: a whole number, 8 to 2048 pixels; see",
        ),
        (["edit", "--text", "x", "--size", "4"], "size is 4; allowed: 8 to 2048"),
        (
            ["edit", "--text", "x", "--seeds", "a,b"],
            "seeds is 'a'; allowed: a list, each a whole number",
        ),
        (["edit", "--text", "x", "--seeds", "-1"], "seeds is -1; allowed: 0 to"),
        (["edit", "--text", "x", "--seeds", "[]"], "seeds is .*; allowed: one or more"),
        (["edit", "--text", "x", "--shape", "nan"], "shape is 'nan'; allowed: a number, -4 to 4"),
        (["edit", "--text", "x", "--mapper", "m"], "mapper is 'm'; allowed: paper or universal"),
        (["edit", "--text", "x", "--shape", ".nan"], "shape is nan; allowed: -4 to 4"),
        (["edit", "--text", "x", "--appearance", "4.5"], "appearance is 4.5; allowed: -4 to 4"),
        (["edit", "--text", "  "], "text is '  '; allowed: what it is to become"),
        (["edit", "--text", "x", "--out", "x.jpg"], "out is 'x.jpg'; allowed: .*png"),
        (["edit", "a", "b", "--text", "x"], "unrecognized arguments: b"),
        (["edit", "--text"], "argument --text: expected one argument"),
        (["orbit", "--out", "x.gif"], "out is 'x.gif'; allowed: .*mp4"),
        (["orbit", "--frames", "0"], "frames is 0; allowed: 1 to"),
        (["data", "check"], "path is ''; allowed: a folder or zip"),
        (["data", "synthesize", "--count", "0"], "count is 0; allowed"),
        (["demo", "--device", "tpu"], "device is 'tpu'; allowed: .*auto"),
        (["pretrain"], "data.path is ''; allowed"),
        (
            ["pretrain", "--data.path", "x", "--generator.field.levels", "99"],
            "generator.field.levels is 99; allowed",
        ),
        (["train-mapper", "--which", "color"], "which is 'color'; allowed: shape or appearance"),
    ],
)
def test_a_value_that_is_not_allowed(argv, message):
    _fails(argv, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("stepps: 5", "unknown key 'stepps'; did you mean 'steps'"),
        ("generator: {field: {level: 5}}", "did you mean 'generator.field.levels'"),
        ("steps: many", "steps is 'many'; allowed: a whole number, 1 to 10000000"),
        ("{steps: -1, data: {path: x}}", "steps is -1"),
        ("{generator: 5, data: {path: x}}", "generator"),
        ("steps: [", "is not YAML"),
        ("- steps", "holds a list, not keys and values"),
    ],
)
def test_a_file_with_a_mistake(tmp_path, content, message):
    file = tmp_path / "c.yaml"
    file.write_text(content)
    _fails(["pretrain", "--config", str(file)], message)


def test_a_file_that_is_missing_or_no_text(tmp_path):
    _fails(["pretrain", "--config", str(tmp_path / "none.yaml")], "none.yaml' cannot be read")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    _fails(["pretrain", "--config", str(tmp_path / "binary")], "cannot be read")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_help_explains_every_key(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as stopped:
        parse([*verb.name.split(), "--help"])
    assert stopped.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"usage: clipnerf {verb.name} ")
    assert all(f"[{key.upper()}]" in lines[0] for key in verb.positionals)
    for key, kind in keys_of(verb.schema).items():
        if is_dataclass(kind):
            continue
        name = f"--{key}"
        about = [i for i, line in enumerate(lines) if line.replace(",", " ").split()[:1] == [name]]
        assert about, f"{name} is not in the help of {verb.name}"
        text = lines[about[0]] + lines[min(about[0] + 1, len(lines) - 1)]
        described = text.partition(name)[2].partition("(type:")[0]
        assert "default" in text, f"{name} shows no default: {text}"
        assert len(described.split()) >= 2, f"{name} is not explained: {text}"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_printed_configuration_can_be_given_again(verb, capsys, tmp_path):
    words = verb.name.split()
    with pytest.raises(SystemExit):
        parse([*words, "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    schema = verb.schema
    assert {field.name for field in fields(schema)} <= set(printed)


def test_the_overview_has_every_verb():
    said = overview()
    for verb in VERBS:
        assert f"  {verb.name} " in said and verb.about and verb.about in said


def test_the_default_bundle_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bundle_path("configs").is_dir()
    assert str(bundle_path("nowhere/at/all")) == "nowhere/at/all"
    (tmp_path / "configs").mkdir()
    assert str(bundle_path("configs")) == "configs"


def test_the_files_in_configs_are_valid():
    folder = bundle_path("configs")
    verbs = {verb.name for verb in VERBS}
    presets = [
        (verb, file)
        for file in sorted(folder.glob("*.yaml"))
        for verb in verbs
        if file.name.startswith(f"{verb}-")
    ]
    assert presets
    for verb, file in presets:
        data = ["--data.path", "x"] if verb == "pretrain" else []
        assert parse([verb, "--config", str(file), *data]).config is not None
