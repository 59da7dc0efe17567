"""Work in forked processes."""

import os
import traceback
import warnings

import pytest

from hpo.errors import HpoError

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def forked(work):
    """How a forked process ends that does this work: 0, an error's exit code, or minus the signal that killed it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which these processes do not need
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except HpoError as error:
            code = error.exit_code
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
