"""Where something is written: a folder that is not there yet, for nothing is ever overwritten."""

from pathlib import Path
from tempfile import TemporaryDirectory

from pickllm.errors import ConfigError

__all__ = ["new_place"]


def new_place(folder: str | Path) -> Path:
    """The folder, seen to before the work that fills it: it is not there yet, but can be made.

    Raises:
        ConfigError: It is there, or nothing can be written where it should go.
    """
    place = Path(folder)
    if place.exists():
        raise ConfigError(f"{place} is there already; name a new folder, or remove it first")
    around = next(each for each in place.absolute().parents if each.exists())
    try:
        with TemporaryDirectory(dir=around):
            return place
    except OSError as error:
        raise ConfigError(f"{place} can not be written: {error.strerror}") from error
