"""Imports: what members send of their data, read, matched, applied and undone in the background."""

from social.services.imports.intake import (
    MAX_FILE_BYTES,
    MAX_IMPORTS,
    import_apply,
    import_create,
    import_delete,
    import_row_correct,
    import_undo,
)
from social.services.imports.jobs import imports_run

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_IMPORTS",
    "import_apply",
    "import_create",
    "import_delete",
    "import_row_correct",
    "import_undo",
    "imports_run",
]
