"""Lookups beyond Django's own.

`id__any=[...]`: membership as one array parameter instead of one parameter an element. `IN` with a
thousand ids costs Django and the driver more than the query itself.

`name__lower=without_case(text)`: equality without case that an index on lower(name) serves; Django's
own `iexact` asks for upper(name).
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigAutoField, CharField, ForeignKey, Lookup, Value
from django.db.models.functions import Lower
from django.db.models.sql.compiler import SQLCompiler


@BigAutoField.register_lookup
@ForeignKey.register_lookup
class AnyOf(Lookup):
    """For bigint keys; takes an iterable of ints."""

    lookup_name = "any"
    prepare_rhs = False

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", (*params, list(self.rhs))


CharField.register_lookup(Lower)


def without_case(text: str) -> Lower:
    """The text as the database compares it without case, for `name__lower`."""
    return Lower(Value(text))
