"""Which fields of a record make a document, and which are left out?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsr.corpus.document import NO_FIELDS, Document
from lsr.corpus.schema import Cell, flattened
from lsr.corpus.text_parts import PARTS, joined, split_weight
from lsr.corpus.values import SHOWN, identifier, plain_text, shown
from lsr.errors import InputError

ID_NAMES = ("_id", "id", "docid", "doc_id", "pid")
TEXT_NAMES = ("text", "contents", "content", "body", "passage")
TITLE_NAMES = ("title",)
PATIENCE = 1000  # records without a text, from the start, after which nobody waits for one
MOST_NAMES = 1000  # that are remembered
MOST_SHOWN = 20

EVERYTHING, NOTHING = ("all",), ("none",)

Names = str | Sequence[str] | None


@dataclass(frozen=True)
class Fields:
    """Which fields of a record hold id, text and title; None takes the first known name that holds something.

    Several fields of text, or of title, are joined in the order given, with a blank. A record may lack them. A field of
    text may have a weight, as ``description^0.5``, rounded to a multiple of 1/1024; without it is 1, and so is that of
    titles. A field with ``^`` in its name is given with a weight, as ``a^b^1``.

    Attributes:
        store: which of the other fields a document keeps: "all", "none", or names; that of an object keeps all in it.
        needs_text: whether a source without any text is refused.

    Raises:
        InputError: several fields of the id, or a weight that is none.
    """

    id: Names = None
    text: Names = None
    title: Names = None
    store: Names = "none"
    needs_text: bool = True

    def __post_init__(self) -> None:
        if len(names := names_of(self.id)) > 1:
            raise InputError(f"found the id fields {_listed(names)}, wanted one: name it with --id-field")
        weights_of(self.text)

    def document(self, record: Mapping[str, Any]) -> Document:
        """The document in ``record``.

        Raises:
            InputError: no id or no field of text, or a field holds neither text nor a whole number.
        """
        reader = FieldReader(self)
        document = reader.document(record)
        reader.finish()
        return document


class PlacedError(InputError):
    """A fault that names its own place."""


class FieldReader:
    """Makes documents of the records of one stream, and remembers what it met."""

    def __init__(self, fields: Fields) -> None:
        weights = weights_of(fields.text)
        named = {"title": names_of(fields.title), "text": tuple(weights)}
        self._named, self._weights = named, weights if any(weight != 1 for weight in weights.values()) else {}
        self._ids, self._titles = names_of(fields.id) or ID_NAMES, named["title"] or TITLE_NAMES
        self._texts = named["text"] or TEXT_NAMES
        self._store, self._needs_text = names_of(fields.store), fields.needs_text
        self._unmet = {(role, name) for role, names in named.items() for name in names}
        self._ignored: set[str] = set()
        self._without, self._with_text = 0, False  # records
        self._first_without = ("", "")  # its place, and what is wrong

    @property
    def named(self) -> bool:
        """Whether anybody said which fields to take."""
        return self._ids is not ID_NAMES or any(self._named.values())

    @property
    def ignored(self) -> list[str]:
        """Names of fields that held something which is in no document, sorted."""
        return sorted(self._ignored)

    @property
    def notes(self) -> list[str]:
        """What a person should know of the stream, a line each."""
        notes = [f"no record has the field {name!r} of --{role}-field" for role, name in sorted(self._unmet)]
        if self._without:
            records = f"{self._without:,} {'records have' if self._without > 1 else 'record has'}"
            notes.append(f"{records} no field of text (first: {self._first_without[0]}): their text is empty")
        return [*notes, f"ignored fields: {_listed(self.ignored)}"] if self._ignored else notes

    def columns(self, names: Sequence[str]) -> list[str]:
        """Those of a table's columns that may be part of a document; the others are ignored.

        Raises:
            InputError: no column of ids, none of texts, or two of one name.
        """
        for role, own in (("id", self._ids), ("text", self._texts)):
            if not set(own) & set(names) and (role == "id" or self._needs_text):
                raise InputError(_missing(names, own, role))
        wanted = {*self._ids, *self._titles, *self._texts, *(name for name in names if self._keeps(name))}
        self._ignored.update([name for name in names if name not in wanted][:MOST_NAMES])
        self._unmet = {(role, name) for role, name in self._unmet if name not in names}
        columns = [name for name in names if name in wanted]
        if twice := [name for name in columns if columns.count(name) > 1]:
            raise InputError(f"found two columns called {twice[0]!r}, wanted names that differ")
        return columns

    def document(self, record: Mapping[str, Any], place: str = "", table: bool = False) -> Document:
        """The document in ``record``; title and text may be missing. In a ``table`` numbers are text too.

        Raises:
            InputError: no id; a field holds neither text nor a whole number; or no record so far had a text.
        """
        name = _first(record, self._ids)
        if not name:
            raise InputError(_missing(record, self._ids, "id"))
        titles, texts = self._those_of(record, "title", self._titles), self._those_of(record, "text", self._texts)
        if texts or not self._needs_text:
            self._with_text = True
        else:
            self._miss_text(record, place)
        used = {*name, *titles, *texts}
        fields = self._fields(record, used, table) if self._store != NOTHING else NO_FIELDS
        self._note(record, used)
        if PARTS in fields:
            raise InputError(f"the field {PARTS!r} is where weights of texts are kept: rename it, or leave it out")
        if not self._weights:
            return Document(identifier(record[name[0]]), _joined(record, titles), _joined(record, texts), fields)
        text, parts = joined([(_text(record, name), self._weights[name]) for name in texts])
        fields = {**fields, PARTS: parts} if parts else fields
        return Document(identifier(record[name[0]]), _joined(record, titles), text, fields)

    def finish(self) -> None:
        """The stream is at its end.

        Raises:
            InputError: no record had a field of text.
        """
        if self._without and not self._with_text:
            raise PlacedError(self._first_without[1])

    def _fields(self, record: Mapping[str, Any], used: set[str], table: bool) -> Mapping[str, Any]:
        rest = {name: value for name, value in record.items() if name not in used}
        if table:
            return {name: Cell(value) for name, value in rest.items() if value and self._keeps(name)}
        return {name: value for name, value in flattened(rest).items() if value is not None and self._keeps(name)}

    def kept(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those of ``fields``, which no record holds, that documents keep."""
        return {name: value for name, value in fields.items() if self._keeps(name)} or NO_FIELDS

    def _keeps(self, name: str) -> bool:
        return self._store == EVERYTHING or any(name == one or name.startswith(f"{one}.") for one in self._store)

    def _those_of(self, record: Mapping[str, Any], role: str, names: Sequence[str]) -> Sequence[str]:
        """The fields of a role that a record has: all that were named, or the first known one."""
        if self._named[role]:
            return [name for name in names if name in record]
        return _first(record, names)

    def _miss_text(self, record: Mapping[str, Any], place: str) -> None:
        if not self._without:
            fault = _missing(record, self._texts, "text")
            self._first_without = place, f"{place}: {fault}" if place else fault
        self._without += 1
        if self._without >= PATIENCE:
            self.finish()

    def _note(self, record: Mapping[str, Any], used: set[str]) -> None:
        """Remember fields that were met, and those that held something and were not used."""
        if self._unmet:
            self._unmet = {(role, name) for role, name in self._unmet if name not in record}
        if len(record) == len(used):
            return
        for name in record.keys() - used - self._ignored:
            if not _is_empty(record[name]) and len(self._ignored) < MOST_NAMES and not self._keeps(name):
                self._ignored.add(name)


def names_of(names: Names) -> tuple[str, ...]:
    """One name, several or none, as a tuple."""
    return tuple(filter(None, (names,) if isinstance(names, str) else names or ()))


def weights_of(names: Names) -> dict[str, float]:
    """Fields of text, in order, with the weight of each: ``NAME`` or ``NAME^WEIGHT``.

    Raises:
        InputError: a weight that is none, or two for one field.
    """
    weights: dict[str, float] = {}
    for name, weight in map(split_weight, names_of(names)):
        if weights.setdefault(name, weight) != weight:
            raise InputError(f"found two weights of the text field {name!r:.60}, wanted one")
    return weights


def _first(record: Mapping[str, Any], names: Sequence[str]) -> Sequence[str]:
    """The first name that holds something, or else the first that is there, or none."""
    there: Sequence[str] = ()
    for name in names:
        if name in record:
            if not _is_empty(record[name]):
                return (name,)
            there = there or (name,)
    return there


def _joined(record: Mapping[str, Any], names: Sequence[str]) -> str:
    if len(names) == 1:
        return _text(record, names[0])
    return " ".join(filter(None, (_text(record, name) for name in names)))


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    return value if type(value) is str and value.isascii() else plain_text(value, f"field {name!r}")


def _is_empty(value: Any) -> bool:
    if type(value) is str:
        return not value
    return value is None or (isinstance(value, bytes | list | dict) and not value)


def _missing(record: Iterable[str], names: Sequence[str], role: str) -> str:
    found = _listed([shown(name) for name in record]) or "none"
    wanted = " or ".join(map(repr, names))
    way_out = f"name yours with --{role}-field where a command has it, or rename it"
    return f"no {role} field: found the fields {found}, wanted {wanted}; {way_out}"


def _listed(names: Sequence[str]) -> str:
    """Names with commas; control characters are shown as such, and of very many only some."""
    some = ", ".join(name if name.isprintable() and len(name) <= SHOWN else shown(name) for name in names[:MOST_SHOWN])
    return f"{some} and {len(names) - MOST_SHOWN:,} more" if len(names) > MOST_SHOWN else some
