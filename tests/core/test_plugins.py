"""Plugins load alone: a good one adds its rows, a bad one is undone whole and named."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from smoothswap.core import foreign_code
from smoothswap.core.catalogue import Catalogue
from smoothswap.core.component import Component
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


def made(
    monkeypatch: pytest.MonkeyPatch, folder: Path, text: str, name: str = "made_plugin"
) -> tuple[Catalogue, PluginInfo]:
    """A catalogue with the shipped components and a plugin of this text, and its status."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    catalogue = Catalogue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        return catalogue, catalogue.load_plugins([BUILTIN, PluginInfo(name, "1.0", name)])[1]


HOOK = "import smoothswap\n@smoothswap.hookimpl\ndef smoothswap_components():\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit(3)", "importing made_plugin failed: SystemExit: 3"),
        ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
        ("class Stop(BaseException): pass\nraise Stop", "importing made_plugin failed: Stop"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("def f(:", "SyntaxError"),
        (HOOK + "    raise SystemExit", "smoothswap_components() of made_plugin failed: SystemExit"),
        (HOOK + "    yield 1 / 0", "smoothswap_components() of made_plugin failed: ZeroDivisionError"),
        (HOOK + "    return 7", "returned int, not rows"),
        (HOOK + "    return 'rows'", "returned str, not rows"),
        (HOOK + "    return ['row']", "gave 'row'"),
        (
            HOOK.replace("components", "componets") + "    return []",
            "made_plugin has the unknown hook 'smoothswap_componets'. Did you mean 'smoothswap_components'?",
        ),
        ("def smoothswap_component():\n    return []", "Did you mean 'smoothswap_components'?"),
        (HOOK.replace("smoothswap_components", "rows") + "    return []", "unknown hook 'rows'\n"),
        ("def smoothswap_components():\n    return []", "@smoothswap.hookimpl"),
        (HOOK.replace("()", "(registry)") + "    return []", "has other arguments"),
    ],
)
def test_a_plugin_that_fails_is_left_out_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, reason: str
) -> None:
    catalogue, plugin = made(monkeypatch, tmp_path, text)
    assert plugin.error is not None
    assert reason in plugin.error
    assert "<module" not in plugin.error
    assert catalogue.find("supcon").provider == "smoothswap"


def test_ctrl_c_during_an_import_is_no_failure_of_the_plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(monkeypatch, tmp_path, "raise KeyboardInterrupt")


def test_what_a_plugin_prints_goes_to_stderr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "print('at import')\n" + HOOK + "    print('in the hook')\n    yield from []"
    _, plugin = made(monkeypatch, tmp_path, text)
    out, err = capsys.readouterr()
    assert plugin.error is None
    assert out == ""
    assert err == "at import\nin the hook\n"


def test_a_slow_plugin_is_named_while_it_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(foreign_code, "SLOW", 0.05)
    _, plugin = made(monkeypatch, tmp_path, "import time; time.sleep(0.5)\n" + HOOK + "    return []")
    assert plugin.seconds >= 0.5
    assert "still importing made_plugin after 0.05 s" in caplog.text


@pytest.mark.parametrize("text", ["raise SystemExit(1)", "1 / 0", "raise BaseException('odd')", "x = (", "Other = 1"])
def test_a_component_whose_module_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    (tmp_path / "made_target.py").write_text(f"print('heavy')\n{text}", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "made_target", raising=False)
    row = Component(kind="loss", name="heavy", target="made_target:Heavy", summary="", provider="heavy_package")
    with pytest.raises(PluginError, match="loss 'heavy' cannot be imported") as error:
        row.resolve()
    assert "from heavy_package" in str(error.value)


def test_what_a_row_needs_is_kept_and_said_where_its_module_misses_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needs = "the package heavy_weights: pip install heavy-weights"
    source = f"""
import smoothswap
from smoothswap.core.component import Component

@smoothswap.hookimpl
def smoothswap_components():
    return [Component(kind="embedder", name="heavy", target="made_heavy:Heavy", summary="heavy", needs={needs!r})]
"""
    (tmp_path / "made_heavy.py").write_text("import heavy_weights", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "made_heavy", raising=False)
    catalogue, plugin = made(monkeypatch, tmp_path, source)
    assert plugin.error is None
    row = catalogue.find("heavy")
    assert (row.needs, row.provider) == (needs, plugin.name)
    with pytest.raises(PluginError, match="No module named 'heavy_weights'") as error:
        row.resolve()
    assert error.value.hint == f"heavy needs {needs}"


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
