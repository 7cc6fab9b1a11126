from lwdash.api import experiment as experiment
from lwdash.api import experiments as experiments

__version__: str
INTERFACE: tuple[str, ...]
