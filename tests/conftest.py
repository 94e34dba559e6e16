# Fixtures: the program, goldens, and model folders that are converted and compiled once a test session.
import pytest

import goldens
import program
import sequence


@pytest.fixture(scope="session", autouse=True)
def built_program():
    path = program.executable()
    if not path.is_file():
        pytest.exit(f"{path} is not there: build the program first (make build) or set DSV4_BIN", returncode=1)


class Library:
    """Goldens, and model folders by golden name and conversion flags."""

    def __init__(self, directory):
        self.directory = directory
        self.goldens = {}
        self.folders = {}
        self.compiled_models = {}

    def golden(self, name):
        if name not in self.goldens:
            self.goldens[name] = goldens.load(name)
        return self.goldens[name]

    def folder(self, name, *flags):
        key = (name, *flags)
        if key not in self.folders:
            output = self.directory / "-".join(part.lstrip("-") for part in key)
            program.convert(goldens.CHECKPOINTS[name], output, *flags)
            self.folders[key] = output
        return self.folders[key]

    def compiled(self, name, *flags):
        key = (name, *flags)
        if key not in self.compiled_models:
            self.compiled_models[key] = sequence.compile_model(self.folder(name, *flags))
        return self.compiled_models[key]


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return Library(tmp_path_factory.mktemp("models"))
