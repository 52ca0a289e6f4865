from collections.abc import Iterator

import pytest

from tests.support.kernel_client import KernelClient


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelClient]:
    """The sanitized kernels, in a process of their own."""
    client = KernelClient(tmp_path_factory.mktemp("kernels"))
    yield client
    client.close()
