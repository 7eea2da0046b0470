"""A user's own checks: functions of a module beside the recipe, or of an installed one."""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data_gen.draft import Draft
from tsjax.errors import UserError

Function = Callable[[str, Mapping[str, Any]], str]

_MOST = 60  # characters of a reason: it becomes a key of the report


def imported(path: str, folder: str = "") -> Function:
    """The function that "module:name" names. Modules in `folder` come before all others; "": no folder.

    The module's own imports may be from the folder too, also when its functions run, where no other module of the
    Python path has their names. Raises UserError where there is no such function.
    """
    module, _, name = path.partition(":")
    todo = "give a function(text, factors) -> str as module:function, its module beside the recipe or installed"
    try:
        found: Any = _module(module, folder) if module else None
        for part in name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as e:
        expected = f"the check {path!r} to be importable"
        raise UserError(expected=expected, found=f"{type(e).__name__}: {' '.join(str(e).split())}", todo=todo) from e
    if not callable(found):
        raise UserError(expected=f"the check {path!r} to be a function", found=type(found).__name__, todo=todo)
    return found


def _module(name: str, folder: str) -> Any:
    top = name.partition(".")[0]
    here = [path for path in (Path(folder, f"{top}.py"), Path(folder, top)) if path.exists()] if folder and top else []
    if not here:
        return importlib.import_module(name)
    # One of the same name may have been imported for a recipe in another folder.
    loaded = getattr(sys.modules.get(top), "__file__", None)
    if top in sys.modules and (loaded is None or not Path(loaded).resolve().is_relative_to(Path(folder).resolve())):
        for other in [one for one in sys.modules if one == top or one.startswith(f"{top}.")]:
            del sys.modules[other]
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # last, so that it hides nothing


def guarded(function: Function, name: str) -> Callable[[Draft], tuple[str, Any]]:
    """The function as a check. A reason becomes one line of at most 60 characters; what goes wrong in it is a reason
    too: "function_error:NAME"."""

    def run(draft: Draft) -> tuple[str, Any]:
        try:
            reason = function(draft.text, draft.values)
        except (Exception, SystemExit) as e:
            return f"function_error:{name}", _line(f"{type(e).__name__}: {e}", 200)
        if not isinstance(reason, str):
            return f"function_error:{name}", f"{type(reason).__name__} is not a string"
        if not reason:
            return "", "passed"
        short = _line(reason, _MOST) or f"function:{name}"[:_MOST]
        return short, short

    return run


def _line(text: str, most: int) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:most].strip()
