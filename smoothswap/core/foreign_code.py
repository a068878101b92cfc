"""Running the code of plugins: it prints nowhere but to stderr, ends no process, and is named where it is slow."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator

from smoothswap.core.errors import PluginError, SmoothSwapError

SLOW = 5.0  # seconds

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def foreign_code(doing: str) -> Iterator[None]:
    """Around code of a plugin that runs at import or in its hook.

    What it prints goes to stderr, since stdout belongs to the command. While it takes longer than `SLOW` seconds, the
    log says what is waited for.

    Args:
        doing: what is done, for the messages: `importing a_plugin.components`.

    Raises:
        PluginError: it raised anything but an error of ours or Ctrl-C; a SystemExit as well.
    """
    timer = threading.Timer(SLOW, lambda: _log.warning("still %s after %g s", doing, SLOW))
    timer.daemon = True
    timer.start()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (KeyboardInterrupt, SmoothSwapError):
        raise
    except BaseException as cause:
        text = str(cause).strip()
        raise PluginError(f"{doing} failed: {type(cause).__name__}{f': {text}' if text else ''}") from cause
    finally:
        timer.cancel()
