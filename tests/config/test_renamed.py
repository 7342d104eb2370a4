import dataclasses
import warnings

import pytest
import yaml

from clipnerf.config.parse import keys_of, parse
from clipnerf.config.renamed import RENAMED, RENAMED_VALUES, current_values
from clipnerf.config.verbs import VERBS
from clipnerf.errors import UsageError
from clipnerf.training.run_folder import RunFolder

NEEDED = {
    "pretrain": ["--data.path=x"],
    "train-region": ["--phrases=the seat"],
    "edit": ["--text=x"],
    "segment": ["--image=x", "--text=x"],
    "invert": ["--photo=x"],
    "study variety": ["--data=x"],
}
OLD_KEYS = [
    (verb.name, f"{key.removesuffix(new)}{old}", key)
    for verb in VERBS
    for key in keys_of(verb.schema)
    for old, new in RENAMED.items()
    if key.rpartition(".")[2] == new
]
DEVICES = [verb.name for verb in VERBS if "device" in keys_of(verb.schema)]


def _value(config, key):
    for name in key.split("."):
        config = getattr(config, name)
    return config


def _other(config, key):
    return _value(config, key) * 2


def _nested(key, value):
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def _says_the_new_name(caught, key):
    lines = [str(warning.message) for warning in caught]
    assert len(lines) == 1 and f"is called {key} now" in lines[0], lines


@pytest.mark.parametrize(("verb", "old", "key"), OLD_KEYS)
def test_an_old_key_is_taken_with_one_warning(verb, old, key, tmp_path):
    default = parse([verb, *NEEDED.get(verb, [])]).config
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(_nested(old, _other(default, key))))
    for argv in ([f"--{old}", str(_other(default, key))], ["--config", str(file)]):
        with pytest.warns(UserWarning) as caught:
            config = parse([verb, *argv, *NEEDED.get(verb, [])]).config
        assert _value(config, key) == _other(default, key)
        _says_the_new_name(caught, key)


@pytest.mark.parametrize(("verb", "old", "key"), OLD_KEYS)
def test_a_run_of_an_old_key_resumes(verb, old, key, tmp_path):
    config = parse([verb, *NEEDED.get(verb, [])]).config

    def opened(asked):
        return RunFolder.open(tmp_path, command=verb, config=asked, seed=0)

    def old_file():
        content = yaml.safe_load(file.read_text())
        *above, last = key.split(".")
        inner = content
        for name in above:
            inner = inner[name]
        inner[old.rpartition(".")[2]] = inner.pop(last)
        file.write_text(yaml.safe_dump(content))

    opened(config).close()
    file = tmp_path / "config.yaml"
    old_file()
    with pytest.warns(UserWarning) as caught:
        opened(config).close()
    _says_the_new_name(caught, key)
    assert old.rpartition(".")[2] not in file.read_text()
    if not key.endswith("_every"):  # how often lines are logged may change
        old_file()
        *above, last = key.split(".")
        inner = _value(config, ".".join(above)) if above else config
        changed = dataclasses.replace(inner, **{last: _other(config, key)})
        if above:
            changed = dataclasses.replace(config, **{above[0]: changed})
        with pytest.warns(UserWarning), pytest.raises(UsageError, match=f"run with {key} = "):
            opened(changed)


def test_there_are_oldkeys_of():
    assert len(OLD_KEYS) >= 5 and not set(RENAMED) & set(RENAMED.values())
    assert not [k for v in VERBS for k in keys_of(v.schema) if k.rpartition(".")[2] in RENAMED]


@pytest.mark.parametrize("verb", DEVICES)
def test_device_is_auto_for_all_and_null_means_it(verb, tmp_path):
    schema = next(each.schema for each in VERBS if each.name == verb)
    assert {f.name: f.default for f in dataclasses.fields(schema)}["device"] == "auto"
    needed = NEEDED.get(verb, [])
    file = tmp_path / "c.yaml"
    file.write_text("device: null\n")
    for argv in (["--device", "null"], ["--config", str(file)]):
        with pytest.warns(UserWarning, match="device null is called auto now"):
            assert parse([*verb.split(), *argv, *needed]).config.device == "auto"
    with pytest.raises(UsageError, match=r"device is 'tpu'; allowed: .*auto"):
        parse([*verb.split(), *needed, "--device", "tpu"])


@pytest.mark.parametrize(("old", "new"), RENAMED_VALUES["precision"].items())
def test_an_old_value_is_taken_with_one_warning(old, new, tmp_path):
    for verb in ("train-clip", "train-segmenter"):
        with pytest.warns(UserWarning, match=f"precision {old} is called {new} now") as caught:
            config = parse([verb, "--precision", old]).config
        assert config.precision == new and len(caught) == 1
    RunFolder.open(tmp_path, command="train-clip", config=config, seed=0).close()
    file = tmp_path / "config.yaml"
    # as it was before digests
    text = file.read_text().partition("\n")[2]
    file.write_text(text.replace(f"precision: {new}", f"precision: {old}"))
    with pytest.warns(UserWarning, match=f"precision {old} is called {new} now"):
        RunFolder.open(tmp_path, command="train-clip", config=config, seed=0).close()
    assert f"precision: {new}" in file.read_text()


def test_both_names_at_once_are_refused():
    for content in ({"lr": 1, "learning_rate": 2}, {"learning_rate": 1, "lr": 2}):
        with pytest.raises(UsageError, match="lr is given twice, also as 'learning_rate'"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                current_values(content, {"lr"})
