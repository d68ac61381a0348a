"""Sizes, names and imports of the source tree."""

import ast

import pytest

from tests.repository import ROOT, imported_modules, python_files, shown, tracked_files, tree_of

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
HOMELESS = {"base", "common", "core", "helper", "helpers", "misc", "util", "utils"}
# Plain types and arithmetic: what the fast memory may know besides NumPy and the model's own words.
PLAIN = {
    "bisect", "collections", "collections.abc", "dataclasses", "enum", "functools", "heapq",
    "itertools", "math", "operator", "types", "typing", "json", "hashlib", "struct", "array",
}  # fmt: skip


def test_no_file_outgrows_its_cap():
    lines = {shown(path): len(path.read_text("utf-8").splitlines()) for path in python_files()}
    assert {name: n for name, n in lines.items() if n > MAX_FILE_LINES} == {}


def test_no_function_outgrows_its_cap():
    too_long = [
        f"{shown(path)}:{node.lineno} {node.name}: {length} lines"
        for path in python_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert too_long == []


def test_every_module_is_named_after_a_concept():
    names = {shown(path): {path.stem, *path.relative_to(ROOT).parts} for path in python_files()}
    assert [name for name, parts in names.items() if parts & HOMELESS] == []


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in python_files()}
    assert [shown(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_note_to_self_is_left():
    # Spelled in two parts, so that this file passes its own check
    notes = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
    found = [
        f"{shown(path)}:{number}"
        for path in tracked_files()
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".sh"} or not path.suffix
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if any(note in line for note in notes)
    ]
    assert found == []


@pytest.mark.parametrize("path", python_files(), ids=shown)
def test_all_imports_are_absolute(path):
    assert [name for name in imported_modules(path) if name.startswith(".")] == []


@pytest.mark.parametrize("path", python_files("service", "model", "pipelines"), ids=shown)
def test_what_ships_imports_no_tests(path):
    assert [name for name in imported_modules(path) if name.split(".")[0] == "tests"] == []


def test_the_fast_memory_knows_only_numpy_and_plain_types():
    folder = ROOT / "model" / "fast"
    files = [path for path in python_files("model") if path.is_relative_to(folder)]
    assert files, "model/fast has moved"
    strangers = {
        f"{shown(path)}: {name}"
        for path in files
        for name in imported_modules(path)
        if name not in PLAIN
        and name.split(".")[0] != "numpy"
        and not name.startswith(("model.fast", "model.interactions", "model.errors"))
    }
    assert strangers == set()
