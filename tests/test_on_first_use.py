import sys
from importlib import import_module

import pytest


@pytest.mark.parametrize("package", ["lsr.retrieval", "lsr.encoders", "lsr.index", "lsr.corpus"])
def test_a_package_has_what_it_offers(package):
    module = import_module(package)
    for name in module.__all__:
        found = getattr(module, name)
        assert found is getattr(sys.modules[found.__module__], name) if hasattr(found, "__module__") else found
    with pytest.raises(AttributeError, match=rf"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing
