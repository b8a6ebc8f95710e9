"""For doctests: what cannot be imported here is not looked into."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("triton") else ["iua_widget/counting/triton_*.py"]
