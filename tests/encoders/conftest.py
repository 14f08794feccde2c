"""A body is exported once: most time of these tests would go into tracing the same small network again."""

import hashlib
import shutil
from importlib.util import find_spec

import pytest


def digest(network):
    """Of all that decides what the file of a body holds."""
    found = hashlib.sha256(repr((network.body, network.side.max_length)).encode())
    found.update(repr(getattr(getattr(network.body, "model", None), "config", None)).encode())
    for name, tensor in sorted(network.body.state_dict().items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


@pytest.fixture(autouse=True, scope="session")
def exported_bodies(tmp_path_factory):
    if find_spec("torch") is None:
        yield
        return
    from lsr.encoders.convert import export

    folder, body = tmp_path_factory.mktemp("bodies"), export._export_body

    def once(network, path):
        kept = folder / digest(network)
        if not kept.exists():
            body(network, kept)
        shutil.copy(kept, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_export_body", once)
        yield
