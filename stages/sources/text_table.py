"""Text files of one point a line, as object data sets ship them."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def read_rows(path: Path, separator: str, num_columns: int) -> NDArray[np.float32]:
    """Read (N, num_columns) numbers. Raises ValueError naming the file if it has anything else."""
    try:
        table = pd.read_csv(path, sep=separator, header=None, dtype=np.float32, engine="c")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file, though a list names it") from None
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        message = " ".join(str(error).split())
        raise ValueError(f"{path}: expected {num_columns} numbers a line: {message}") from None
    rows = table.to_numpy()
    if rows.shape[1] != num_columns or not np.isfinite(rows).all():
        found = f"{rows.shape[1]}" if rows.shape[1] != num_columns else "some that are not finite"
        raise ValueError(f"{path}: expected {num_columns} numbers a line, found {found}")
    return rows
