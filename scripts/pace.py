"""How slow the machine is just now: time limits are for one that has nothing else to do."""

import time

# Of processor time: long enough for the scheduler to give others their turns.
_SAMPLE = 0.1


def slowdown():
    """How much longer a computation takes than it would alone on a processor; 1 or more. It takes at
    least a tenth of a second, and says nothing of the program that is tested."""
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < _SAMPLE:
        sum(range(1000))
    return max(1.0, (time.monotonic() - began) / (time.thread_time() - used))
