"""Upload of a run's documents to the Hugging Face Hub. Only when it is called, only what may be public.

Goes up: both splits, their manifest, the report, the card (which shows the recipe). Stays here: raw answers, rejects,
the ledger and the run's manifest.
"""

import json
import os
from pathlib import Path
from typing import Any

from data_gen.card import card
from data_gen.curate import REPORT
from data_gen.documents import CARD, FOLDER
from tsjax.atomic import sha256_file
from tsjax.corpus.sources import MANIFEST, SPLIT_FILES, sources
from tsjax.errors import UserError

TOKEN = "HF_TOKEN"


def push(folder: Path, repo: str, *, private: bool = True, licence: str | None = None) -> str:
    """Uploads the documents of the run `folder` to the data set `repo` ("owner/name") in one commit; returns its address.

    The token comes from the environment, $HF_TOKEN, alone. Raises UserError where documents are not whole or not by
    `curate`, no licence was given here or when they were made, a `private` push would land in a public repository, or the
    Hub refuses.
    """
    folder = Path(folder)
    out = folder / FOLDER
    if not (out / MANIFEST).exists():
        raise UserError(expected=f"documents in {out}", found="none that are whole", todo="curate the run first")
    sources(out)  # their sums
    manifest = json.loads((out / MANIFEST).read_bytes())
    _check(manifest, folder, licence)
    token = os.environ.get(TOKEN)
    if not token:
        raise UserError(
            expected=f"a token in ${TOKEN}", found="none", todo="set it to one that may write to the data set"
        )
    hub = _hub()
    manifest["licence"] = licence or manifest["licence"]
    paths = {name: out / name for name in SPLIT_FILES.values()} | {REPORT: folder / REPORT}
    made = {MANIFEST: json.dumps(manifest, indent=2) + "\n", CARD: card(manifest)}
    operations = [hub.CommitOperationAdd(name, str(path)) for name, path in paths.items()]
    operations += [hub.CommitOperationAdd(name, text.encode()) for name, text in made.items()]
    api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    try:
        address = str(api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True))
        if private and not api.repo_info(repo, repo_type="dataset").private:
            raise UserError(
                expected="a private data set",
                found=f"{repo}, which is there and public",
                todo="name another, or push publicly",
            )
        api.create_commit(repo, operations, commit_message="Documents of tsjax generate", repo_type="dataset")
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as e:
        raise UserError(
            expected=f"the Hub to take {repo}",
            found=_line(e, token),
            todo=f"look at the name, and at the rights of ${TOKEN}",
        ) from None
    return address


def _check(manifest: dict[str, Any], folder: Path, licence: str | None) -> None:
    if manifest.get("writer") != "generate":
        raise UserError(
            expected="documents that curate wrote",
            found=f"those of {manifest.get('writer')!r}",
            todo="give the folder of a run",
        )
    if not (licence or manifest["licence"]):
        raise UserError(
            expected="a licence for the data set",
            found="none",
            todo="give one (such as cc-by-4.0); none is taken for granted",
        )
    if licence and manifest["licence"] and licence != manifest["licence"]:
        raise UserError(
            expected=f"the licence {manifest['licence']} that the documents were made with",
            found=licence,
            todo="curate them again",
        )
    if not (folder / REPORT).exists() or sha256_file(folder / REPORT) != manifest["report_sha256"]:
        raise UserError(
            expected=f"{folder / REPORT} of these documents", found="another or none", todo="curate the run again"
        )


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as e:
        raise UserError(
            expected="huggingface_hub, to push data sets", found="none installed", todo="pip install 'tsjax[hf]'"
        ) from e
    return huggingface_hub


def _line(error: Exception, token: str) -> str:
    """The error in one line, without the token should a server have echoed it."""
    return " ".join(str(error).replace(token, "***").split())[:300] or type(error).__name__
