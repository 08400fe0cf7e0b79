"""Count lines of code by app: without blank lines, comments and docstrings.

    python -m benchmarks.code_lines [FOLDER]

Tests, migrations and benchmarks are not counted.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

SKIPPED_FOLDERS = {"tests", "migrations", "benchmarks", ".venv", ".data"}
_TOKENS_WITHOUT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def count_code_lines(source: str) -> int:
    """Return the number of lines that contain code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _TOKENS_WITHOUT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            lines.difference_update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return len(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    root: Path = parser.parse_args().folder
    code: Counter[str] = Counter()
    all_kinds: Counter[str] = Counter()
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if SKIPPED_FOLDERS.intersection(parts):
            continue
        app = parts[0] if len(parts) > 1 else "(root)"
        source = path.read_text("utf-8")
        code[app] += count_code_lines(source)
        all_kinds[app] += len(source.splitlines())
    print(f"{'app':<18}{'code':>8}{'all kinds':>12}")
    for app in sorted(code):
        print(f"{app:<18}{code[app]:>8}{all_kinds[app]:>12}")
    outside = {app for app in code if app != "recommendations"}
    for name, apps in (("outside recs", outside), ("total", set(code))):
        code_total = sum(code[app] for app in apps)
        all_kinds_total = sum(all_kinds[app] for app in apps)
        print(f"{name:<18}{code_total:>8}{all_kinds_total:>12}")


if __name__ == "__main__":
    main()
