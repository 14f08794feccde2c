from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import SeenIds


@given(st.lists(st.lists(st.text("abc", max_size=3), max_size=20), max_size=12))
def test_repeated_ids_are_found_like_a_set_finds_them(batches):
    seen, ours = set(), SeenIds()
    for batch in batches:
        expected = []
        for position, name in enumerate(batch):
            if name in seen:
                expected.append(position)
            seen.add(name)
        assert ours.add(batch) == expected
