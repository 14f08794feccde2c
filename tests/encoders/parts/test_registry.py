"""A part is its own file and one line of the registry; everything else follows from there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lsr.encoders.declaration import parse_declaration, read_system, system_names, write_declaration
from lsr.encoders.parts.part import Sizes
from lsr.encoders.parts.registry import GATES, HEADS, SPARSIFIERS, choices, fault_of_parts
from lsr.encoders.side import Side

ROOT = Path(__file__).parents[3]

HEAD = '''
"""Head "positive": the positive numbers of the pooled state."""
import numpy as np

from lsr.encoders.parts.part import ArrayHead, Head
from lsr.encoders.parts.pools import StatePool, state_pool


class PositiveHead(Head):
    name, about, columns_are, pools = "positive", "positive numbers of the pooled state", "latents", StatePool

    def shapes(self, side, sizes):
        return {"positive_scale": (sizes.width,)}

    def columns(self, side, parts, sizes):
        return parts["positive_scale"].size

    def tensor(self, network, hidden, batch):
        state = state_pool(network.side.pool).tensor(hidden, batch.pooled).float()
        return (state * network.parts["positive_scale"]).relu()

    def arrays(self, side, parts, sizes):
        return Arrays(side, parts)


class Arrays(ArrayHead):
    def __init__(self, side, parts):
        self.pool, self.scale = state_pool(side.pool), parts["positive_scale"]
        self.terms = self.scale.size

    def __call__(self, states, tokens):
        return np.maximum(self.pool.array(states[tokens.pooled_from : len(tokens.ids)]) * self.scale, 0)
'''

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np, torch
from lsr.encoders.declaration import parse_declaration
from lsr.encoders.network.assemble import untrained
from lsr.encoders.neural import NeuralEncoder
from lsr.encoders.parts.part import Sizes
from lsr.encoders.parts.registry import choices
from lsr.encoders.runners.array_side import ArraySide
from lsr.encoders.tokens.batch import Batch
from lsr.encoders.tokens.stem_tokens import view_of
from lsr.encoders.tokens.word_pieces import collate

text = 'title = "Positive"\\npaper = "none"\\n[document]\\nhead = "positive"\\nbackbone = "encoder"\\npool = "mean"\\n'
encoder = NeuralEncoder(untrained(parse_declaration(text, "mine"), Path(sys.argv[1])), "cpu")
texts = ["bees dance", "the queen", ""]
matrix = encoder.encode_documents(texts)
source, network = encoder.source.document, encoder.documents.network
side = ArraySide(source.side, source.parts, Sizes(network.body.width, network.body.tokens))
rows = []
for tokens in view_of(source.tokenizer, source.side)(texts):
    with torch.inference_mode():
        states = network.states(Batch.of(collate([tokens])))[0].numpy()
    rows.append(side(states, tokens))
gap = np.abs(matrix.to_scipy().toarray() - np.array(rows)).max()
origins = encoder.explain("bees dance")
print(json.dumps([matrix.nnz, float(gap), choices()["head"]["positive"], encoder.terms[0], len(origins)]))
"""


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


def test_a_new_head_is_one_file_and_one_line(tmp_path):
    pytest.importorskip("torch")
    from tests.encoders.models import bert

    model = bert(tmp_path / "bert")
    shutil.copytree(ROOT / "lsr", tmp_path / "lsr", ignore=shutil.ignore_patterns("__pycache__", "default"))
    before = files(tmp_path)
    parts = tmp_path / "lsr/encoders/parts"
    (parts / "heads/positive.py").write_text(HEAD)
    registry = (parts / "registry.py").read_text()
    line = '        "vocabulary": "heads.vocabulary.VocabularyHead",\n'
    assert registry.count(line) == 1
    (parts / "registry.py").write_text(
        registry.replace(line, '        "positive": "heads.positive.PositiveHead",\n' + line)
    )
    after = files(tmp_path)
    assert {name for name in after if after[name] != before.get(name)} == {
        "lsr/encoders/parts/heads/positive.py",
        "lsr/encoders/parts/registry.py",
    }
    command = [sys.executable, "-c", PROGRAM, str(model), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    nonzeros, gap, about, first, origins = json.loads(done.stdout.splitlines()[-1])
    assert nonzeros > 0
    assert gap < 1e-5
    assert about == "positive numbers of the pooled state"
    assert first == "latent 0"
    assert origins > 0


@pytest.mark.parametrize("registry", [HEADS, GATES, SPARSIFIERS], ids=lambda registry: registry.kind)
def test_parts_are_called_what_the_registry_calls_them(registry):
    assert {name: part.name for name, part in registry.items()} == {name: name for name in registry}
    assert all(part.about for part in registry.values())


def test_the_documentation_lists_every_part():
    lines = (ROOT / "docs/ENCODERS.md").read_text().splitlines()
    rows = [f"| {kind} | `{name}` | {about} |" for kind, parts in choices().items() for name, about in parts.items()]
    listed = [line for line in lines if line.split(" | ")[0].removeprefix("| ") in choices()]
    assert listed == rows


def test_every_published_system_goes_together():
    for name in system_names():
        for side in (read_system(name).document, read_system(name).query_side):
            assert fault_of_parts(side) is None, name


def test_tensors_of_two_parts_of_one_side_never_share_a_name():
    side, sizes = Side("vocabulary", "encoder", "stems"), Sizes(3, 5, 2, 2)
    names = [name for part in (*HEADS.values(), *GATES.values()) for name in part.shapes(side, sizes)]
    assert len(names) == len(set(names))


def test_a_default_that_is_written_out_is_no_other_declaration():
    plain = read_system("splade-v3")
    text = write_declaration(plain)
    assert "pool" not in text
    spelt = text + 'pool = "max"\nsparsifier = "none"\ngates = []\nprompt = ""\n'
    assert parse_declaration(spelt, "spelt") == plain
    assert write_declaration(parse_declaration(f'scorer = "dot"\n{spelt}', "spelt")) == text
