"""The host side of the serial link: framed requests that survive a bad line.

The protocol is described in `runtime_c/include/tinyml_link.h`. A request is
repeated under its sequence number until its answer comes or patience runs out;
damaged, stale and foreign frames are dropped. No call here can hang.
"""

from tinyml.link.client import Client
from tinyml.link.target import (
    Counts,
    HighWater,
    Identity,
    Invocation,
    Lesson,
    Progress,
    Record,
    Region,
)

__all__ = [
    "Client",
    "Counts",
    "HighWater",
    "Identity",
    "Invocation",
    "Lesson",
    "Progress",
    "Record",
    "Region",
]
