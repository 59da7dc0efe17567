"""What happens to a user without the rights of root."""

import os

import pytest

unix = pytest.mark.skipif(not hasattr(os, "setuid"), reason="this system has no Unix permissions")


def as_nobody(action):
    """What `action()` returns or raises, by name, in a child that has no rights of root."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            try:
                said = repr(action())
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            os.write(writing, said.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said
