"""Plugins load alone: a good one adds its rows, a bad one is undone whole and named."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from smoothswap.core.catalogue import Catalogue
from smoothswap.core.errors import PluginError, UnknownNameError
from smoothswap.core.plugins import PluginInfo, PluginWarning, installed

FIXTURES = Path(__file__).parents[1] / "fixtures" / "plugins"
BUILTIN = PluginInfo("smoothswap", "0", "smoothswap.builtin")


def loaded(monkeypatch: pytest.MonkeyPatch, *names: str) -> tuple[Catalogue, list[PluginInfo]]:
    """A catalogue with the shipped components and the named fixture plugins, and what became of each."""
    plugins = [BUILTIN]
    for name in names:
        monkeypatch.syspath_prepend(str(FIXTURES / name))
        monkeypatch.delitem(sys.modules, name, raising=False)
        plugins.append(PluginInfo(name, "1.0", name))
    catalogue = Catalogue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        return catalogue, catalogue.load_plugins(plugins)[1:]


def test_entry_points_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FIXTURES / "good_plugin"))
    found = [plugin for plugin in installed() if plugin.name == "good_plugin"]
    assert [(plugin.version, plugin.module) for plugin in found] == [("1.0", "good_plugin")]
    assert "good_plugin" not in sys.modules


def test_good_plugin_adds_rows_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue, (plugin,) = loaded(monkeypatch, "good_plugin")
    assert plugin.error is None
    row = catalogue.find("constant_nine")
    assert row.provider == "good_plugin"
    assert row.resolve().Config.make(row.defaults).value == 9.0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken_import", "a_package_that_nobody_has"),
        ("misspelt_hook", "smoothswap_componets"),
        ("wrong_signature", "registry"),
        ("name_clash", "declared twice"),
        ("wrong_kind", "Did you mean 'loss'"),
    ],
)
def test_bad_plugin_is_undone_and_the_others_work(monkeypatch: pytest.MonkeyPatch, name: str, reason: str) -> None:
    catalogue, (bad, good) = loaded(monkeypatch, name, "good_plugin")
    assert reason in (bad.error or "")
    assert bad.components == ()
    assert good.error is None
    names = {row.name for row in catalogue.rows()}
    assert "constant" in names
    assert not names & {"brand_new", "odd"}


def test_clash_names_both_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    _, (bad,) = loaded(monkeypatch, "name_clash")
    assert "by smoothswap: smoothswap.losses.supcon:SupConLoss" in (bad.error or "")
    assert "by name_clash: name_clash:Mine" in (bad.error or "")


def test_failure_is_told_once_and_in_unknown_name_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FIXTURES / "broken_import"))
    catalogue = Catalogue()
    with pytest.warns(PluginWarning, match="broken_import") as told:
        catalogue.load_plugins([BUILTIN, PluginInfo("broken_import", "1.0", "broken_import")])
        catalogue.load_plugins()
    assert len(told) == 1
    with pytest.raises(UnknownNameError, match="plugin 'broken_import' was left out"):
        catalogue.find("something_of_it")


def test_target_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue, _ = loaded(monkeypatch, "good_plugin")
    row = catalogue.find("constant")
    broken = type(row)(kind="loss", name="x", target="good_plugin:Nothing", summary="", provider="good_plugin")
    with pytest.raises(PluginError, match="good_plugin:Nothing"):
        broken.resolve()
