"""Native threads, for native code that computes for long without Python's lock.

gunicorn's gevent worker runs all requests in one thread, so that such code would stop the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar

from gevent import monkey
from gevent.threadpool import ThreadPool

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def run_in_native_thread(
    function: Callable[_Parameters, _Result],
    *arguments: _Parameters.args,
    **options: _Parameters.kwargs,
) -> _Result:
    """Return the function's result; in a gevent worker other requests continue meanwhile.

    The function must not use the database, the cache or the network. Calls of one process run one
    after the other, so that they take half of a core's time at most while others need it.
    """
    if not monkey.is_module_patched("threading"):
        return function(*arguments, **options)
    result: _Result = _get_thread().apply(function, arguments, options)
    return result


@lru_cache(maxsize=1)
def _get_thread() -> ThreadPool:
    return ThreadPool(1)
