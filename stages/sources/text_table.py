"""Text files of one point a line, as object data sets ship them."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def read_rows(path: Path, separator: str, num_columns: int) -> NDArray[np.float32]:
    """Read (N, num_columns) numbers.

    Raises ValueError naming the file if it is not there or has anything else; OSError and MemoryError
    say nothing of it.
    """
    try:
        data = path.read_bytes()  # here, for pandas calls what cannot be read malformed
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file, though a list names it") from None
    try:
        table = pd.read_csv(
            io.BytesIO(data), sep=separator, header=None, dtype=np.float32, engine="c"
        )
    except ValueError as error:
        message = " ".join(str(error).split())
        if "out of memory" in message:  # pandas has one class for both
            raise MemoryError(f"{path}: {message}") from None
        raise ValueError(f"{path}: expected {num_columns} numbers a line: {message}") from None
    rows = table.to_numpy()
    if rows.shape[1] != num_columns or not np.isfinite(rows).all():
        found = f"{rows.shape[1]}" if rows.shape[1] != num_columns else "some that are not finite"
        raise ValueError(f"{path}: expected {num_columns} numbers a line, found {found}")
    return rows
