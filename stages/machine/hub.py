"""The Hugging Face hub: found in seconds to be out of reach, not in minutes."""

import logging
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 5.0


def go_offline_if_unreachable() -> None:
    """Let the hub's client use its cache alone if its site does not answer; proxies are honoured."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=TIMEOUT_S)
    except Exception:  # its HTTP library differs from version to version
        constants.HF_HUB_OFFLINE = True


def download(mirrors: Sequence[tuple[str, str]]) -> Path | None:
    """Return the first of (repository, file) that is in the cache or can be downloaded."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    go_offline_if_unreachable()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    for repository, name in mirrors:
        try:
            return Path(hf_hub_download(repository, name))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
            continue
    return None


def download_student(name: str) -> Path:
    """Fetch an exported student, `owner/name[@revision]`, and return its folder.

    Raises ValueError if it is not in the cache and cannot be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    go_offline_if_unreachable()
    repository, _, revision = name.partition("@")
    try:
        folder = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=["config.json", "model.safetensors"],
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{name}: no such folder here, and not to be had from the hub: {reason}"
        ) from None
    return Path(folder)
