"""Import this first where ml_collections may be missing: the train step needs its name alone, not what it does."""

import importlib.util
import sys
import types
from typing import Any

if importlib.util.find_spec("ml_collections") is None:
    stand_in: Any = types.ModuleType("ml_collections")
    stand_in.ConfigDict = dict
    sys.modules["ml_collections"] = stand_in
