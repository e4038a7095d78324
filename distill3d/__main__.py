"""`distill3d`, `python -m distill3d`, `torchrun -m distill3d`: the command line."""

from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; see `pipeline.cli.main`."""
    from pipeline.cli import main as run

    run()


if __name__ == "__main__":
    main()
