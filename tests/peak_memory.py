"""The greatest memory of a process that a test starts, for its program to look at."""

PEAK = """
def peak():  # KiB; ru_maxrss would begin with what the parent has
    with open("/proc/self/status") as file:
        return int(file.read().partition("VmHWM:")[2].split()[0])
"""
