"""`inspect` on runs and checkpoints."""

from pathlib import Path

from cache.checkpoint import WEIGHTS, damage, has_checkpoint, read_arrays, read_meta
from cache.runs import BEST, CARD, LAST, read_card, read_metrics, read_result
from stages.checking.findings import Finding, Report


def is_run(path: Path) -> bool:
    """True for the folder of a training run."""
    return (path / CARD).is_file()


def inspect_run(path: Path, *, verify: bool) -> Report:
    """Say what a run is, how far it came and what it measured, and whether it is whole."""
    card = read_card(path)
    assert card is not None
    report = Report(all_read=verify)
    report.fact("run", str(path))
    report.fact("of", card.kind)
    report.fact("made with", card.config)
    lines, result = read_metrics(path), read_result(path)
    epochs = card.config.get("training", {}).get("epochs", "?")
    report.fact("epochs", f"{lines[-1]['epoch'] if lines else 0} of {epochs}")
    report.fact("finished", "yes" if result else "no; the same command goes on")
    for name in (LAST, BEST):
        if has_checkpoint(path / name):
            meta = read_meta(path / name)
            measured = {k: v for k, v in meta.metrics.items() if k.startswith("val_")}
            said = ", ".join(f"{key} {value:.4g}" for key, value in measured.items())
            report.fact(name, f"step {meta.position['step']}" + (f"; {said}" if said else ""))
    for key, value in ((result or {}).get("bars") or {}).items():
        report.fact("bar", f"{key} {value:.4g}")
    if lines and not has_checkpoint(path / LAST):
        report.found("", "its last checkpoint is missing")
    for name in (LAST, BEST) if verify else ():
        if has_checkpoint(path / name):
            report.extend(Finding("", what) for what in damage(path / name))
    return report


def inspect_checkpoint(path: Path, *, verify: bool) -> Report:
    """Say what a checkpoint holds, and whether it can be built and is as it was written."""
    from stages.training.weights.build import load_model

    report = Report(all_read=verify)
    meta = read_meta(path)
    report.fact("checkpoint", str(path))
    report.fact("of", f"{meta.run.kind} {meta.run.fingerprint}")
    report.fact("model", str(meta.model.get("kind")))
    report.fact("made with", meta.model.get("shape", {}))
    weights = read_arrays(path, WEIGHTS)
    report.fact(
        "weights", f"{len(weights)} tensors, {sum(a.size for a in weights.values()):,} numbers"
    )
    report.fact("position", f"step {meta.position['step']} of {meta.position['total_steps']}")
    for key, value in meta.metrics.items():
        report.fact("", f"{key} {value:.6g}")
    try:
        load_model(path)
    except ValueError as error:
        report.found("", str(error))
    if verify:
        report.extend(Finding("", what) for what in damage(path))
    return report
