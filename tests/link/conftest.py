from pathlib import Path

import pytest

from tests.link import toy


@pytest.fixture(scope="session")
def host_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy firmware as a process, under the address and undefined-behaviour sanitizers."""
    return toy.build_host(tmp_path_factory.mktemp("toy"))
