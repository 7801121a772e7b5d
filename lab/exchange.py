"""What the host and the agent in the guest leave for each other in the guest's working folder."""

WANTED = "wanted.json"
"""From the host: what the agent is to do."""

RESULT = "result.json"
"""From the agent: what it found."""

RECORDING = "recording"
"""From the agent, in a folder of each scenario's name: the folder of its recording."""

FRAMES = "frames.json.gz"
"""Beside it, compressed: the frames that the agent saw as the Samples came."""

LEDGER = "ledger.json"
"""Beside it: what the workload says of itself."""

ERROR = "error.json"
"""From the agent: the error that a user can act on, raised again on the host."""

EACH_LRU = "each"
"""From the host, instead of an LRU: by each that the kernel has."""

AGENT = "rmapwatch.lab.agent"
"""The module that the guest runs."""


def left_by(scenario: str, lru: str) -> str:
    """Return the name of the folder that holds what a scenario has left."""
    return f"{scenario}-{lru}"
