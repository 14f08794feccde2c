"""One of two processes that train together: `python -m tests.training.one_rank FOLDER` with a launcher's variables."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.training.runs import recipe, trainer


def first_gradients(folder: Path):
    """A trainer, and the loss and gradients of its first batch."""
    made = trainer(folder, recipe(dropout=False, batch=5, steps=4, evaluate_every=2, checkpoint_every=2))
    values = made.engine.gradients(made.drawer.draw(1), 3)
    made.processes.average(made.named.values())
    return made, {name: p.grad for name, p in made.named.items() if p.grad is not None} | {"loss": values["loss"]}


def main(folder: Path) -> None:
    made, found = first_gradients(folder)
    found = {name: value.clone() for name, value in found.items()}
    made.run()
    found |= {f"after {name}": p.detach() for name, p in made.named.items()}
    save_file(found, folder / f"rank-{made.processes.index}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
