"""`inspect` on runs and checkpoints."""

from pathlib import Path

from cache.checkpoint import WEIGHTS, damage, has_checkpoint, read_arrays, read_meta
from cache.runs import BEST, LAST, read_card, read_metrics, read_result
from pipeline.lines import line, made_with, verdict


def is_run(path: Path) -> bool:
    """True for the folder of a training run."""
    return path.is_dir() and read_card(path) is not None


def inspect_run(path: Path, *, verify: bool) -> bool:
    """Print what a run is, how far it came and what it measured, and whether it is whole."""
    card = read_card(path)
    assert card is not None
    line("run", str(path))
    line("of", card.kind)
    made_with(card.config)
    lines, result = read_metrics(path), read_result(path)
    epochs = card.config.get("training", {}).get("epochs", "?")
    line("epochs", f"{lines[-1]['epoch'] if lines else 0} of {epochs}")
    line("finished", "yes" if result else "no; the same command goes on")
    for name in (LAST, BEST):
        if has_checkpoint(path / name):
            meta = read_meta(path / name)
            measured = {k: v for k, v in meta.metrics.items() if k.startswith("val_")}
            said = ", ".join(f"{key} {value:.4g}" for key, value in measured.items())
            line(name, f"step {meta.position['step']}" + (f"; {said}" if said else ""))
    for key, value in ((result or {}).get("bars") or {}).items():
        line("bar", f"{key} {value:.4g}")
    problems = (
        [] if has_checkpoint(path / LAST) or not lines else ["its last checkpoint is missing"]
    )
    if verify:
        for name in (LAST, BEST):
            problems += damage(path / name) if has_checkpoint(path / name) else []
    return verdict(problems, verify=verify)


def inspect_checkpoint(path: Path, *, verify: bool) -> bool:
    """Print what a checkpoint holds, and whether it can be built and is as it was written."""
    from stages.training.weights.build import load_model

    meta = read_meta(path)
    line("checkpoint", str(path))
    line("of", f"{meta.run.kind} {meta.run.fingerprint}")
    line("model", str(meta.model.get("kind")))
    made_with(meta.model.get("shape", {}))
    weights = read_arrays(path, WEIGHTS)
    line("weights", f"{len(weights)} tensors, {sum(a.size for a in weights.values()):,} numbers")
    line("position", f"step {meta.position['step']} of {meta.position['total_steps']}")
    for key, value in meta.metrics.items():
        line("", f"{key} {value:.6g}")
    problems = []
    try:
        load_model(path)
    except ValueError as error:
        problems.append(str(error))
    if verify:
        problems += damage(path)
    return verdict(problems, verify=verify)
