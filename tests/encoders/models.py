"""Small networks with random weights, made on the spot: BERT and Llama, with a tokenizer of words or of pieces."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase, digits

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

WORDS = "bees dance to tell other bee where flowers are a castle had thick walls and moat the of spring garden".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = len(WORDS) + len(SPECIAL)
CHARACTERS = [prefix + character for prefix in ("", "##") for character in ascii_lowercase + digits]
UNUSED = ["[unused0]", "[unused1]"]
PIECES = [*dict.fromkeys([SPECIAL[0], *UNUSED, *SPECIAL[1:], *WORDS, "wall", "##flower", "##ing", *CHARACTERS])]
WIDTH = 16


def write_tokenizer(folder: Path, special: bool = True, pieces: bool = False) -> None:
    """A tokenizer.json; ``special`` puts [CLS] and [SEP] around a text, ``pieces`` makes it one of word-pieces."""
    ids = {word: i for i, word in enumerate(PIECES if pieces else [*SPECIAL, *WORDS])}
    tokenizer = Tokenizer((models.WordPiece if pieces else models.WordLevel)(ids, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    if special:
        pairs = [(name, ids[name]) for name in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=pairs)
    tokenizer.save(str(folder / "tokenizer.json"))


def bert(folder: Path, seed: int = 0, pieces: bool = False, layers: int = 1) -> Path:
    """A masked language model."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=len(PIECES) if pieces else VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    return _write(BertForMaskedLM, config, folder, seed, special=True, pieces=pieces)


def llama(folder: Path, seed: int = 0) -> Path:
    """A causal language model of two layers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    return _write(LlamaForCausalLM, config, folder, seed, special=False)


def _write(kind, config, folder: Path, seed: int, special: bool, pieces: bool = False) -> Path:
    torch.manual_seed(seed)
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)  # large enough that logits of both signs appear
        if kind.__name__ == "BertForMaskedLM":
            model.cls.predictions.bias.normal_(0, 0.5)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    write_tokenizer(folder, special, pieces)
    return folder
