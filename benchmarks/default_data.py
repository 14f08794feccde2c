"""Which pairs is the default model trained on? Training folders by kind of query, and pairs held out to choose by.

From a folder of Parquet files with query and positive, one a source: some sources in part, because they are many texts
of one kind; queries made of key words and of spans of the texts; hard negatives of BM25 and of a dense model over all
texts. One query in 300 is held out.

    python benchmarks/default_data.py ../shared/data/train --dense all-MiniLM-L6-v2 --out data
    lsr train default --model all-MiniLM-L6-v2 --data data/questions --mix .2 --data data/papers --mix .27 ...
"""

from __future__ import annotations

import math
import random
import re
import zlib
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.encoders.lexical.stems import FUNCTION_WORDS
from lsr.eval import write_collection
from lsr.training.data.examples import Example, Examples
from lsr.training.data.sources import Raw, TrainingData
from lsr.training.data.training_folder import write_row_folder
from lsr.training.mining.mining import MiningSettings, mine

# Share of the texts of each source, by kind of query.
SOURCES = {
    "questions": {"qnli_squad": 1.0, "medquad": 1.0, "subjqa": 1.0, "cosmosqa_valid": 1.0},
    "papers": {
        "acl_title_abstract": 1.0,
        "papers_keywords_abstract": 1.0,
        "papers_title_abstract": 1.0,
        "papers_tldr_abstract": 1.0,
        "scitldr": 1.0,
    },
    "docs": {
        "rfc_section": 0.08,
        "rfc_title_abstract": 1.0,
        "docs_sections": 0.4,
        "mdn_archived": 1.0,
        "python_docstrings": 0.3,
        "man_pages": 1.0,
        "tldr_pages": 0.5,
        "debian_descriptions": 0.15,
    },
    "world": {
        "wordnet_definitions": 0.7,
        "wordnet_examples": 0.3,
        "wikipedia_movies": 0.6,
        "dict_foldoc": 1.0,
        "hpo_terms": 0.7,
        "cia_factbook": 1.0,
        "recipes": 0.25,
    },
}
HELD_OUT = 300  # one query in so many
DEV, OTHERS = 1_500, 6_000  # pairs to choose by, and further documents among theirs
KEY_WORDS, SPANS = 0.5, 0.22  # shares of the texts that get such a query
WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
Pairs = list[tuple[str, str]]


def read_pairs(folder: Path) -> tuple[dict[str, Pairs], Pairs, list[str]]:
    """Pairs by kind, pairs held out, and all texts."""
    kinds: dict[str, Pairs] = {kind: [] for kind in SOURCES}
    held: Pairs = []
    texts: dict[str, None] = {}
    seen: set[tuple[str, str]] = set()
    for kind, name, share in ((kind, name, share) for kind, own in SOURCES.items() for name, share in own.items()):
        table = pq.read_table(folder / f"{name}.parquet", columns=["query", "positive"])
        for query, text in zip(table["query"].to_pylist(), table["positive"].to_pylist(), strict=True):
            texts.setdefault(text)
            if (query, text) in seen:
                continue
            seen.add((query, text))
            if zlib.crc32(query.encode()) % HELD_OUT == 0:
                held.append((query, text))
            elif zlib.crc32(text.encode()[:200]) % 1000 < 1000 * share:
                kinds[kind].append((query, text))
    return kinds, held, list(texts)


def made_queries(texts: list[str], rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Kind, query and text: rare words that others hold too, or some words in a row."""
    split = [WORD.findall(text) for text in texts]
    frequency = Counter(word for words in split for word in {word.lower() for word in words})
    for text, words in zip(texts, split, strict=True):
        keys = [word for word in {word.lower(): word for word in words}.values() if _is_key(word, frequency)]
        if len(keys) < 6:
            continue
        draw = rng.random()
        if draw < KEY_WORDS:
            lots = {word: math.log(len(texts) / frequency[word.lower()]) * rng.random() for word in keys}
            chosen = sorted(keys, key=lots.__getitem__, reverse=True)[: rng.choice([1, 2, 2, 3, 3, 4, 5])]
            yield "keywords", " ".join(chosen), text
        elif draw < KEY_WORDS + SPANS and len(words) > 14:
            size = rng.randint(5, 12)
            at = rng.randrange(len(words) - size)
            yield "spans", " ".join(words[at : at + size]), text


def _is_key(word: str, frequency: Counter[str]) -> bool:
    low = word.lower()
    return low not in FUNCTION_WORDS and len(word) > 1 and frequency[low] >= 3 and not word.isdigit()


def write_dev(held: Pairs, texts: list[str], folder: Path) -> None:
    """Some of the pairs held out as a judged collection."""
    rng = random.Random(1)
    chosen = rng.sample(held, min(DEV, len(held)))
    others = rng.sample(texts, min(OTHERS, len(texts)))
    ids = {text: f"d{i}" for i, text in enumerate(dict.fromkeys([text for _, text in chosen] + others))}
    names = {query: f"q{i}" for i, query in enumerate(dict.fromkeys(query for query, _ in chosen))}
    qrels: dict[str, dict[str, int]] = {}
    for query, text in chosen:
        qrels.setdefault(names[query], {})[ids[text]] = 1
    documents = [Document(name, "", text) for text, name in ids.items()]
    write_collection(folder, documents, {name: query for query, name in names.items()}, qrels)


def write_folders(kinds: dict[str, Pairs], settings: MiningSettings, out: Path) -> None:
    """A training folder a kind, with negatives from the texts of all."""
    data = TrainingData()
    for kind, own in kinds.items():
        data.add([Raw(query, [text]) for query, text in own], kind)
    mined = mine(data, settings).examples
    lists = {
        (int(query), int(mined.documents[a])): mined.documents[a:b]
        for query, a, b in zip(mined.queries, mined.borders, mined.borders[1:], strict=False)
    }
    for kind, examples in zip(kinds, data.examples, strict=True):
        pairs = zip(examples.queries.tolist(), examples.positives.tolist(), strict=True)
        write_part(data, {pair: lists[pair] for pair in pairs}, out / kind)


def write_part(data: TrainingData, lists: dict[tuple[int, int], NDArray[np.int32]], folder: Path) -> None:
    """Some examples and the texts that these name."""
    used = np.unique(np.concatenate(list(lists.values())))
    asked = np.unique([query for query, _ in lists])
    examples = Examples.of(
        Example(int(np.searchsorted(asked, query)), tuple(np.searchsorted(used, rows).tolist()))
        for (query, _), rows in lists.items()
    )
    documents, queries = data.documents, data.queries
    write_row_folder(folder, [queries[i] for i in asked], [documents[i] for i in used], examples)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, help="folder of Parquet files")
    parser.add_argument("--dense", help="folder of a dense model that finds negatives beside BM25")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--negatives", type=int, default=6)
    arguments = parser.parse_args()
    kinds, held, texts = read_pairs(arguments.pairs)
    chosen = list(dict.fromkeys(text for own in kinds.values() for _, text in own))
    for kind, query, text in made_queries(chosen, random.Random(11)):
        kinds.setdefault(kind, []).append((query, text))
    print({kind: len(own) for kind, own in kinds.items()}, len(held), "held out")
    write_dev(held, texts, arguments.out / "dev")
    encoders = ("bm25", *([arguments.dense] if arguments.dense else []))
    write_folders(kinds, MiningSettings(encoders, arguments.negatives, 24, 2 if arguments.dense else 0), arguments.out)


if __name__ == "__main__":
    main()
