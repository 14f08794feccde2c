"""How is lsr used where its script is not on the path? ``python -m lsr.cli``, or ``python -m lsr``."""

from lsr.cli import main

main()
