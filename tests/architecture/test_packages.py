"""What is installed under our names, and what the service process loads."""

import importlib
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import PACKAGES, ROOT, python_files

# Each costs seconds or hundreds of megabytes, and no request needs it.
NOT_FOR_SERVING = {"keras", "pyarrow", "rich", "tensorflow", "tensorflow_recommenders", "tf_keras"}


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_provides_our_names(name):
    providers = importlib.metadata.packages_distributions().get(name, [])
    assert set(providers) <= {"slowwave"}
    origin = importlib.import_module(name).__file__
    assert origin is not None
    assert Path(origin).resolve().parent == ROOT / name


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a new interpreter holds after a statement."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return {name.split(".")[0] for name in json.loads(run.stdout.splitlines()[-1])}


def test_the_service_loads_neither_tensorflow_nor_parquet_nor_a_terminal():
    loaded = loaded_after("import service.app")
    assert "fastapi" in loaded
    assert loaded & NOT_FOR_SERVING == set()


def test_every_module_of_the_service_loads_without_them():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in python_files("service")
        if path.name not in {"__init__.py", "__main__.py"}
    ]
    assert modules
    assert loaded_after(f"import {', '.join(modules)}") & NOT_FOR_SERVING == set()


def test_the_recommend_path_loads_without_them():
    loaded = loaded_after("import model.recommender")
    assert "numpy" in loaded
    assert loaded & NOT_FOR_SERVING == set()


def test_the_command_line_opens_without_loading_tensorflow():
    loaded = loaded_after("import pipelines.cli")
    assert "click" in loaded
    assert loaded & {"tensorflow", "tf_keras", "keras"} == set()
