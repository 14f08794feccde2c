"""What did a verb do? Counts of documents."""

from __future__ import annotations

from typing import NamedTuple

IN_WORDS = {"fields": "updated"}  # as the verb that changes only fields


class Changes(NamedTuple):
    """What a verb did, in documents.

    Attributes:
        added: that were not there.
        changed: whose title or text is new.
        fields: of which only fields are new; nothing was encoded.
        deleted: that are gone.
        unchanged: that were there as they are.
    """

    added: int = 0
    changed: int = 0
    fields: int = 0
    deleted: int = 0
    unchanged: int = 0

    def __str__(self) -> str:
        words = (f"{count:,} {IN_WORDS.get(name, name)}" for name, count in self._asdict().items() if count)
        return ", ".join(words) or "nothing changed"

    @property
    def of_sync(self) -> str:
        """All counts, as `lsr sync` tells them."""
        return (
            f"+{self.added:,} added, {self.changed:,} changed, {self.fields:,} fields only, {self.deleted:,} gone, "
            f"{self.unchanged:,} unchanged"
        )

    def plus(self, other: Changes) -> Changes:
        """Both together."""
        return Changes(*map(sum, zip(self, other, strict=True)))

    @property
    def counts(self) -> dict[str, int]:
        """Those that changed something, for the history."""
        return {name: count for name, count in self._asdict().items() if count and name != "unchanged"}
