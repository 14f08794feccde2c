"""Which measure does a name mean? The names of ir-measures, and what other tools call the same measures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

import ir_measures

from lsr.errors import InputError
from lsr.eval.collections.collection import MOST_GRADE
from lsr.eval.measures.more_than_grades import fault_of_own, is_own

MOST_CUTOFF = 2**31 - 1
OF_SUBTOPICS = ("ERR_IA", "nERR_IA", "alpha_DCG", "NRBP", "nNRBP", "AP_IA", "P_IA", "StRecall")
REGISTRY = ir_measures.measures.registry
# What trec_eval, BEIR, MTEB, ranx and others say, in lower case; names of ir-measures itself are taken in any case,
# but for Accuracy@k, which elsewhere is Success@k.
SPELLINGS: dict[str, str] = {
    **{name.lower(): name if one.params else one.NAME for name, one in REGISTRY.items() if name != "Accuracy"},
    **{"map": "AP", "mrr": "RR", "recip_rank": "RR", "reciprocal_rank": "RR", "r-precision": "Rprec"},
    **dict.fromkeys(("andcg", "alpha-ndcg"), "alpha_nDCG"),
    **dict.fromkeys(("hit", "hits", "hit_rate", "hitrate", "hr"), "Success"),
    **{"set_p": "SetP", "set_recall": "SetR", "set_f": "SetF", "set_map": "SetAP", "set_relative_p": "SetRelP"},
    **{"num_q": "NumQ", "num_ret": "NumRet", "num_rel": "NumRel", "num_rel_ret": "NumRelRet"},
    "iprec_at_recall": "IPrec",
}
LONGEST = 200  # characters of a name
EXAMPLES = "wanted names such as nDCG@10, R@100, RR@10, AP"
NAME = re.compile(r"([a-z][a-z_-]*?)(\(.*\))?(?:(?:(?:_cut|_at)?[@._](\d+(?:\.\d+)?))|(\d+))?", re.IGNORECASE)
BETWEEN = re.compile(r"[\s,]+(?![^(]*\))")  # measures given as one word: "nDCG@10,R@100"


def parse_measures(names: Iterable[str]) -> list[Any]:
    """ir-measures objects for names such as nDCG@10, R@100, RR, AP(rel=2), Success@5, P@10, Judged@10, each once.

    Names of trec_eval and other tools are taken too: map, ndcg_cut_10, recall.100, P_10, MRR@10, ndcg_at_10.

    Raises:
        InputError: an unknown name, a cutoff or parameter that makes no sense, or a measure of a program that is not
            installed.
    """
    words = [word for name in names for word in (BETWEEN.split(name.strip()) if name.strip() else [""])]
    return list(dict.fromkeys(_measure(word) for word in words))


def check_measure(measure: Any) -> None:
    """Refuse what no program computes, or would not survive: trec_eval ends the process at P@0.

    Raises:
        InputError: see `parse_measures`.
    """
    if fault := _fault(measure):
        raise InputError(f"unknown measure {_shown(measure)!r}: {fault}")


def _measure(name: str) -> Any:
    measure = _parsed(name) or _parsed(_translated(name))
    if measure is None:
        raise InputError(f"unknown measure {name!r:.60}: {_advice(name)}")
    measure = _with_floats(measure)
    if fault := _fault(measure):
        raise InputError(f"unknown measure {name!r:.60}: {fault}")
    return measure


def _parsed(name: str) -> Any:
    """The measure that ir-measures calls ``name``, its parameters not yet checked; None where it knows none."""
    try:
        return ir_measures.parse_measure(name) if len(name) <= LONGEST else None
    except (NameError, ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _translated(name: str) -> str:
    """What ir-measures calls a measure of another tool: "ndcg_cut_10" is nDCG@10; "" where that is not known."""
    found = NAME.fullmatch(name[:LONGEST])
    if not found or found[4] or found[1].lower() not in SPELLINGS:
        return ""
    return SPELLINGS[found[1].lower()] + (found[2] or "") + (f"@{found[3]}" if found[3] else "")


def _advice(name: str) -> str:
    found = NAME.fullmatch(name[:LONGEST])
    if found and (near := get_close_matches(found[1].lower(), SPELLINGS, 1)):
        cutoff = found[3] or found[4]
        return f"did you mean {SPELLINGS[near[0]]}{f'@{cutoff}' if cutoff else ''}?"
    return EXAMPLES


def _with_floats(measure: Any) -> Any:
    """The same measure with 1 for 1.0 taken where a fraction is wanted: IPrec@1, SetF(beta=2)."""
    known = measure.SUPPORTED_PARAMS
    whole = {name: float(value) for name, value in measure.params.items() if _is_float(known.get(name), value)}
    return measure(**whole) if whole else measure


def _is_float(info: Any, value: object) -> bool:
    return info is not None and info.dtype is float and type(value) is int and abs(value) <= MOST_CUTOFF


def _fault(measure: Any) -> str | None:
    """What is wrong with a measure, or None."""
    known = measure.SUPPORTED_PARAMS
    for name, value in measure.params.items():
        if name not in known:
            return f"it has no {name}; it knows {', '.join(known) or 'no parameters'}"
        wanted, holds = WANTED.get(name, ("", lambda value: True))
        if type(value) is not known[name].dtype or not holds(value):
            return f"{name} is {value!r:.40}, wanted {wanted or WORDS[known[name].dtype]}"
    if is_own(measure):
        return fault_of_own(measure)
    if _is_computed(measure):
        return None
    if "cutoff" in known and "cutoff" not in measure.params and _is_computed(measure @ 10):
        return f"it needs a cutoff, as {measure @ 10}"
    if measure.NAME in OF_SUBTOPICS:
        return "of the measures of subtopics only alpha_nDCG@k is computed"
    return f"no program that is installed computes it from grades; {EXAMPLES}"


def _is_computed(measure: Any) -> bool:
    try:
        return bool(ir_measures.DefaultPipeline.supports(measure))
    except AssertionError:  # a parameter is missing
        return False


def _shown(measure: Any) -> str:
    parameters = ", ".join(f"{name}={value!r:.40}" for name, value in measure.params.items())
    return f"{measure.NAME}({parameters})" if parameters else str(measure.NAME)


def _are_gains(gains: dict[object, object]) -> bool:
    values = [*gains, *gains.values()]
    return gains.get(0, 0) == 0 and all(type(value) is int and 0 <= value <= MOST_GRADE for value in values)


WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", dict: "a mapping"}
# By parameter of ir-measures: what is wanted in words, and whether a value of its type is that.
WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "cutoff": (f"a whole number from 1 to {MOST_CUTOFF:,}", lambda value: 1 <= value <= MOST_CUTOFF),
    "rel": (f"a grade from 1 to {MOST_GRADE:,}", lambda value: 1 <= value <= MOST_GRADE),
    "gains": (f"grades and their gains, whole numbers from 1 to {MOST_GRADE:,}", _are_gains),
    "recall": ("a share from 0 to 1 of two decimals", lambda value: 0 <= value <= 1 and round(value, 2) == value),
    "beta": ("0.01 to 100", lambda value: 0.01 <= value <= 100),
    "p": ("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "T": ("a number above 0", lambda value: 0 < value < MOST_CUTOFF),
    "alpha": ("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "dcg": ("'log2' or 'exp-log2'", lambda value: value in ("log2", "exp-log2")),
}
