"""Composition: packaged below the user's conf/, the command line on top; every mistake explained."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from agir_cvtoolkit.config import COMMAND_LINE, PACKAGED, Settings, load_settings, settings_keys
from agir_cvtoolkit.errors import ConfigError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# --- order -------------------------------------------------------------------------------------


def test_packaged_then_user_then_command_line() -> None:
    assert load_settings().train.max_epochs == 40
    write("conf/train/default.yaml", "max_epochs: 7\noptimizer:\n  lr: 0.1\n")
    settings = load_settings()
    assert (settings.train.max_epochs, settings.train.optimizer.lr) == (7, 0.1)
    assert (settings.train.batch_size, settings.train.optimizer.weight_decay) == (8, 0.001)
    assert load_settings(["train.max_epochs=9"]).train.max_epochs == 9
    assert load_settings(["train.max_epochs=9", "train.max_epochs=10"]).train.max_epochs == 10


def test_a_value_that_refers_to_another_follows_it_wherever_it_stands() -> None:
    assert load_settings(["cvat_upload.task_name=seed ${train.seed}"]).cvat_upload.task_name == "seed 42"
    write("conf/cvat_upload/default.yaml", "task_name: ${project.name} in ${train.seed}\n")
    settings = load_settings(["project.name=maize", "train.seed=7"])
    assert settings.cvat_upload.task_name == "maize in 7"
    with pytest.raises(ConfigError, match=r"cannot be composed: .*nobody"):
        load_settings(["cvat_upload.task_name=${project.nobody}"])
    write("conf/cvat_upload/default.yaml", "task_name: ???\n")
    with pytest.raises(ConfigError, match=r"cannot be composed: .*task_name"):
        load_settings(["train.seed=7"])


def test_settings_that_are_changed_change_no_later_ones() -> None:
    load_settings().cvat_upload.label_map["weed"] = "crop"
    assert load_settings().cvat_upload.label_map == {"_default": "weed"}


def test_origins_say_where_a_value_comes_from() -> None:
    write("conf/train/default.yaml", "max_epochs: 7\n")
    write("conf/config.yaml", "project:\n  name: maize\n")
    origins = load_settings(["train.batch_size=2"]).origins
    assert origins["train.max_epochs"] == "conf/train/default.yaml"
    assert origins["project.name"] == "conf/config.yaml"
    assert origins["train.batch_size"] == COMMAND_LINE
    assert origins["train.seed"] == PACKAGED


def test_an_explicit_null_is_not_an_unset_value() -> None:
    key = "cvat_upload.organization_slug"
    assert not load_settings().is_explicit(key)
    assert load_settings([f"{key}=null"]).is_explicit(key)
    write("conf/cvat_upload/default.yaml", "organization_slug: null\n")
    assert load_settings().is_explicit(key)


def test_the_primary_file_of_the_user_wins_over_its_groups() -> None:
    write("conf/train/default.yaml", "max_epochs: 7\n")
    write("conf/config.yaml", "train:\n  max_epochs: 8\n")
    assert load_settings().train.max_epochs == 8


def test_another_folder_file_or_name_by_config() -> None:
    write("elsewhere/train/default.yaml", "max_epochs: 5\n")
    write("elsewhere/special.yaml", "project:\n  name: special\n")
    write("conf/other.yaml", "project:\n  name: other\n")
    assert load_settings([], "elsewhere").train.max_epochs == 5
    special = load_settings([], "elsewhere/special.yaml")
    assert (special.project.name, special.train.max_epochs) == ("special", 5)
    assert load_settings([], "other").project.name == "other"
    with pytest.raises(ConfigError, match="config init"):
        load_settings([], "nowhere")


def test_a_group_may_be_chosen_by_command_line_and_by_defaults() -> None:
    write("conf/cvat_upload/other.yaml", "project_id: 5\n")
    write("conf/cvat_upload/default.yaml", "project_id: 4\n")
    assert load_settings().cvat_upload.project_id == 4
    assert load_settings(["cvat_upload=other"]).cvat_upload.project_id == 5
    assert load_settings(["cvat_upload=other", "cvat_upload.project_id=6"]).cvat_upload.project_id == 6
    assert (
        load_settings(["cvat_upload=other"]).origins["cvat_upload.project_id"]
        == "conf/cvat_upload/other.yaml"
    )
    write("conf/config.yaml", "defaults:\n  - cvat_upload: other\n  - _self_\n")
    assert load_settings().cvat_upload.project_id == 5
    with pytest.raises(ConfigError, match="cvat_upload=missing does not exist"):
        load_settings(["cvat_upload=missing"])


def test_a_folder_that_is_no_group_is_noticed() -> None:
    write("conf/cvat_uplaod/default.yaml", "project_id: 4\n")
    with pytest.raises(ConfigError, match="cvat_upload"):
        load_settings()


def test_a_retired_folder_is_refused() -> None:
    write("conf/augment/default.yaml", "train: {}\n")
    with pytest.raises(ConfigError, match=r"train\.augmentation"):
        load_settings()


def test_other_folders_in_conf_are_nobodys_business() -> None:
    write("conf/experiments/a.yaml", "x: 1\n")
    load_settings()


# --- the grammar of overrides ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("cvat_upload.task_name=Round1_Barley", "Round1_Barley"),
        ('cvat_upload.task_name="Barley NC, {November} 2024"', "Barley NC, {November} 2024"),
        ("cvat_upload.task_name='a=b:c'", "a=b:c"),
        ("cvat_upload.task_name=Grün 5", "Grün 5"),
        ("cvat_upload.task_name=2024", "2024"),
        ("cvat_upload.task_name=null", None),
        ("+cvat_upload.task_name=plus", "plus"),
        ("++cvat_upload.task_name=plus", "plus"),
        ("cvat_upload.labels=[barley, hairy vetch]", ("barley", "hairy vetch")),
        ("cvat_upload.labels=[weed]", ("weed",)),
        ("cvat_upload.organization_slug=null", None),
        ("cvat_upload.project_id=319384", 319384),
        ("cvat_download.task_ids=[1,2]", (1, 2)),
        ("cvat_download.required_status=null", None),
        ("cvat_download.required_status=in progress", "in progress"),
        ("seg_inference.model.ckpt_path=outputs/.../model/best.pth", "outputs/.../model/best.pth"),
        ("seg_inference.output.save_images=true", True),
        ("seg_inference.output.colorize_fallback_rgb=[1,2,3]", (1, 2, 3)),
    ],
)
def test_overrides(override: str, value: object) -> None:
    found: Any = load_settings([override])
    for part in override.lstrip("+").split("=")[0].split("."):
        found = getattr(found, part)
    assert found == value


def test_a_key_may_be_taken_away_back_to_its_default() -> None:
    write("conf/cvat_upload/default.yaml", "project_id: 4\n")
    assert load_settings(["~cvat_upload.project_id"]).cvat_upload.project_id is None


@pytest.mark.parametrize(
    "override",
    ["train.max_epochs", "=3", "train.max_epochs=[1", "cvat_upload.task_name={a", "train.seed=1,2", ""],
)
def test_what_is_no_override_is_explained(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings([override])
    assert caught.value.next_step


# --- the label map -----------------------------------------------------------------------------


def test_a_label_map_is_replaced_whole() -> None:
    assert load_settings().cvat_upload.label_map == {"_default": "weed"}
    write("conf/cvat_upload/default.yaml", 'label_map:\n  category_common_name: "{value}"\n')
    assert load_settings().cvat_upload.label_map == {"category_common_name": "{value}"}
    write("conf/config.yaml", "cvat_upload:\n  label_map:\n    state: weed\n")
    assert load_settings().cvat_upload.label_map == {"state": "weed"}
    override = 'cvat_upload.label_map={state: "{value}", _default: crop}'
    assert load_settings([override]).cvat_upload.label_map == {"state": "{value}", "_default": "crop"}


def test_a_single_key_of_a_label_map_is_added() -> None:
    found = load_settings(['cvat_upload.label_map.category_common_name="{value}"']).cvat_upload.label_map
    assert found == {"_default": "weed", "category_common_name": "{value}"}


def test_class_labels_by_mask_value() -> None:
    expected = {1: "crop", 2: "weed"}
    assert (
        load_settings(["cvat_upload.label_map._class={1: crop, 2: weed}"]).cvat_upload.label_map["_class"]
        == expected
    )
    write("conf/cvat_upload/default.yaml", "label_map:\n  _class: {1: crop, 2: weed}\n")
    assert load_settings().cvat_upload.label_map["_class"] == expected


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("cvat_upload.projct_id", "cvat_upload.project_id"),
        ("cvat_uplod.project_id", "cvat_upload"),
        ("seg_inference.output.save_image", "seg_inference.output.save_images"),
        ("train.optimizer.learning", "train.optimizer"),
    ],
)
def test_an_unknown_key_suggests_the_near_one(key: str, near: str) -> None:
    with pytest.raises(ConfigError, match="unknown setting") as caught:
        load_settings([f"{key}=1"])
    assert near in str(caught.value)


def test_an_unknown_key_in_a_file_names_the_file() -> None:
    write("conf/cvat_upload/default.yaml", "projct_id: 3\n")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert "cvat_upload.projct_id" in str(caught.value)
    assert "conf/cvat_upload/default.yaml" in str(caught.value)
    assert "Did you mean 'cvat_upload.project_id'?" in str(caught.value)


@pytest.mark.parametrize(
    ("group", "text", "key"),
    [
        ("train", "max_epochs: soon\n", "train.max_epochs"),
        ("train", "max_epochs: 0\n", "train.max_epochs"),
        ("train", "optimizer: 3\n", "train.optimizer"),
        ("cvat_upload", "mask_strategy: circle\n", "cvat_upload.mask_strategy"),
        ("cvat_upload", "labels: weed\n", "cvat_upload.labels"),
        ("cvat_upload", "label_map:\n  state: [a]\n", "cvat_upload.label_map.state"),
        ("cvat_upload", "project_id: -1\n", "cvat_upload.project_id"),
        ("cvat_download", "required_status: finished\n", "cvat_download.required_status"),
        ("preprocess", "split: {train: 0.5}\n", "preprocess.split"),
        ("seg_inference", "tile: {height: 500}\n", "seg_inference.tile"),
    ],
)
def test_a_wrong_value_names_file_and_key(group: str, text: str, key: str) -> None:
    write(f"conf/{group}/default.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert re.search(rf"{re.escape(key)}(=|\.\w+=| \()", caught.value.problem)
    assert f"conf/{group}/default.yaml" in caught.value.problem


def test_a_wrong_value_of_the_command_line_names_it() -> None:
    with pytest.raises(ConfigError, match=r"train\.max_epochs='soon' \(command line\)"):
        load_settings(["train.max_epochs=soon"])


@pytest.mark.parametrize("key", ["train.max_epochs.x", "select.quotas.classes.weed.least.x", "io.roots.a.b"])
def test_a_single_value_has_no_keys_below(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"{re.escape(key[:-2])} is a single value"):
        load_settings([f"{key}=1"])


def test_every_mapping_takes_keys_below_it() -> None:
    settings = load_settings(
        [
            "select.quotas.classes.weed.least=5",
            "select.strata=state",
            "select.quotas.strata.NC.most=3",
            "select.options.keep=0.3",
            "select.options.nested.deep=1",
            "select.scores.entropy=2",
            "seg_inference.model.options.encoder_name=resnet34",
            "io.roots.store=/mnt/store",
        ]
    )
    assert settings.select.quotas.classes["weed"].least == 5
    assert settings.select.quotas.strata["NC"].most == 3
    assert settings.select.options == {"keep": 0.3, "nested": {"deep": 1}}
    assert settings.select.scores == {"uncertainty": 1.0, "entropy": 2.0}
    assert settings.seg_inference.model.options["encoder_name"] == "resnet34"
    assert settings.io.roots["store"] == "/mnt/store"
    assert settings.origins["select.quotas.classes.weed.least"] == COMMAND_LINE


def test_a_misspelt_key_below_a_mapping_names_the_near_one() -> None:
    write("conf/select/default.yaml", "quotas: {classes: {weed: {leest: 5}}}\n")
    with pytest.raises(ConfigError, match=r"select\.quotas\.classes\.weed\.leest.*") as caught:
        load_settings()
    assert "'select.quotas.classes.weed.least'" in str(caught.value)
    with pytest.raises(ConfigError, match=r"unknown setting 'select\.quotas\.classes\.weed\.mots'") as caught:
        load_settings(["select.quotas.classes.weed.mots=5"])
    assert "'select.quotas.classes.weed.most'" in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n", "\tx: 1", "a: 1\na: 2\n", "just text"])
def test_a_file_that_is_no_configuration_names_itself(text: str) -> None:
    write("conf/train/default.yaml", text)
    with pytest.raises(ConfigError, match=r"conf/train/default\.yaml"):
        load_settings()


def test_an_empty_file_changes_nothing() -> None:
    write("conf/train/default.yaml", "")
    write("conf/config.yaml", "# nothing\n")
    assert load_settings().dump() == Settings().dump()


def test_a_secret_in_a_wrong_place_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(["cvat_upload.source={password: hunter2, type: 3}"])
    assert "hunter2" not in str(caught.value)
    settings = load_settings(["io.ledger_url='postgresql://me:hunter2@db/x'"])
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.io)


def test_signs_of_an_override_mean_what_they_do_in_hydra() -> None:
    key = "cvat_upload.label_map"
    label_maps = {
        f"+{key}.state=crop": {"_default": "weed", "state": "crop"},
        f"++{key}._default=crop": {"_default": "crop"},
        f"~{key}._default": {},
        f"~{key}._default=weed": {},
        f"~{key}": {"_default": "weed"},
    }
    for override, expected in label_maps.items():
        assert load_settings([override]).cvat_upload.label_map == expected
    assert load_settings(["train.max_epochs=4", "~train"]).train.max_epochs == 40


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("+train.max_epochs=9", "there already"),
        ("~cvat_upload.label_map.state", "not there"),
        ("~train.max_epochs=41", "not there"),
        ("train.max_epochs@here=9", "package"),
    ],
)
def test_an_override_whose_sign_does_not_fit_is_refused(override: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"override '{re.escape(override)}'.* {reason}"):
        load_settings([override])


def test_composing_leaves_hydra_as_it_was() -> None:
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra

    before = set(ConfigStore.instance().repo)
    load_settings()
    assert set(ConfigStore.instance().repo) == before
    assert not GlobalHydra.instance().is_initialized()


# --- the packaged files ------------------------------------------------------------------------

CONF = files("agir_cvtoolkit").joinpath("conf")
DATA = {"joints", "projects", "species"}
"""Folders of files that settings name, and that are no settings."""
GROUPS = sorted(entry.name for entry in CONF.iterdir() if entry.is_dir() and entry.name not in DATA)


def packaged(group: str) -> str:
    return CONF.joinpath(group, "default.yaml").read_text(encoding="utf-8")


def leaves(tree: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}"}
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_the_packaged_file_is_the_default_of_the_model(group: str) -> None:
    content = yaml.safe_load(packaged(group))
    assert leaves(content) == leaves(Settings().dump(group)[group])
    model = type(getattr(Settings(), group))
    assert model.model_validate(content) == model()


def test_every_group_has_a_file_and_every_file_a_group() -> None:
    assert {*GROUPS, "project"} == set(Settings().dump())
    primary = yaml.safe_load(CONF.joinpath("config.yaml").read_text(encoding="utf-8"))
    assert primary == {"project": {"name": None, "subname": None}}
    assert load_settings().dump() == Settings().dump()
    assert {key.split(".")[0] for key in settings_keys()} == set(Settings().dump())


@pytest.mark.parametrize("group", [*GROUPS, ""])
def test_every_key_of_a_packaged_file_is_documented(group: str) -> None:
    text = packaged(group) if group else CONF.joinpath("config.yaml").read_text(encoding="utf-8")
    bare = []
    documented_above: dict[int, bool] = {}
    for line in text.splitlines():
        match = re.match(r"( *)([\w_]+):(.*)", line)
        if match is None:
            continue
        indent, key, rest = len(match[1]), match[2], match[3]
        says = "#" in rest
        documented_above = {i: said for i, said in documented_above.items() if i < indent}
        is_leaf = bool(rest.split("#")[0].strip()) or key in {"labels", "label_map"}
        if is_leaf and not says and not any(documented_above.values()):
            bare.append(key)
        documented_above[indent] = says
    assert bare == []


@pytest.mark.parametrize(("value", "hint"), [("999", "[999]"), ("abc", "[abc]")])
def test_a_single_value_in_place_of_a_list_is_shown_as_a_list(value: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="is no list") as caught:
        load_settings([f"cvat_download.task_ids={value}"])
    assert caught.value.next_step == f"Write a list: {hint}"
