"""How good and how fast is a system? Evaluations, suites of systems, adapters for other harnesses.

`evaluate_system` measures an encoder or an index on a judged collection; `Bench` many systems on many collections.
"""

from typing import TYPE_CHECKING

from lsr.on_first_use import on_first_use

if TYPE_CHECKING:
    from lsr.measuring.bench import Bench, Outcome
    from lsr.measuring.evaluation import Evaluation, evaluate_system

__getattr__ = on_first_use(__name__, {"bench": ("Bench", "Outcome"), "evaluation": ("Evaluation", "evaluate_system")})

__all__ = ["Bench", "Evaluation", "Outcome", "evaluate_system"]
