"""Words as ClipCap's official inference finds them: the same tokens."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.captioning.decode import beam, greedy, load_captioner, load_language_model
from stages.precompute.teacher.clipcap import load_checkpoint, load_mapper
from tests.conftest import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden" / "clipcap"


def load(name: str) -> tuple[dict[str, Any], Any, Any, torch.Tensor]:
    facts = json.loads((GOLDEN / f"{name}.json").read_text())
    state = load_checkpoint(GOLDEN / f"{name}.pt")
    model = load_language_model(state, where=name, num_heads=facts["gpt2_config"]["n_head"])
    expected = np.load(GOLDEN / f"{name}.golden.npz")
    embedding = torch.from_numpy(expected["clip_embedding_f16"]).float()
    return facts, model, expected, load_mapper(state, where=name)(embedding).detach()


@pytest.mark.parametrize("name", ["tiny_mlp", "tiny_transformer"])
def test_logits_are_those_of_the_official_model(name: str) -> None:
    _, model, expected, prefix = load(name)
    with torch.inference_mode():
        np.testing.assert_allclose(
            model(inputs_embeds=prefix).logits, expected["gpt_logits_on_prefix"], atol=1e-4
        )
        words = model.transformer.wte(torch.from_numpy(expected["caption_tokens"]))
        logits = model(inputs_embeds=torch.cat([prefix, words], dim=1)).logits
    np.testing.assert_allclose(logits, expected["caption_logits"], atol=1e-4)


@pytest.mark.parametrize("name", ["tiny_mlp", "tiny_transformer"])
def test_tokens_are_those_of_the_official_inference(name: str) -> None:
    facts, model, _, prefix = load(name)
    tried = 0
    for caption in facts["captions"]:
        one, stop = prefix[caption["sample"]], caption["stop_id"]
        length = caption["entry_length"]
        if caption["method"] == "generate2":
            (ours,) = greedy(model, one[None], stop=stop, max_tokens=length)
            theirs = caption["tokens"]
            # The official code raises a TypeError if the first token is the stop token.
            assert ours == ([stop] if isinstance(theirs, str) else theirs)
        else:
            ours_best = beam(model, one, stop=stop, beams=caption["beam_size"], max_tokens=length)
            assert ours_best == caption["tokens_best_first"]
        tried += 1
    assert tried >= 8


def test_a_batch_says_what_each_one_says() -> None:
    facts, model, _, prefix = load("tiny_mlp")
    stop = facts["captions"][0]["stop_id"]
    together = greedy(model, prefix, stop=stop)
    assert together == [greedy(model, one[None], stop=stop)[0] for one in prefix]


def test_what_has_no_words_says_so(tmp_path: Path) -> None:
    state = load_checkpoint(GOLDEN / "tiny_mlp.pt")
    mapper = {key: value for key, value in state.items() if key.startswith("clip_project")}
    with pytest.raises(ValueError, match=r"x: no language model in it"):
        load_language_model(mapper, where="x")
    cut = {key: value for key, value in state.items() if "ln_f" not in key}
    with pytest.raises(ValueError, match=r"x: its language model is no GPT-2.*ln_f"):
        load_language_model(cut, where="x")
    with pytest.raises(ValueError, match=r"tokenizer.json .* --set teacher.tokenizer=FOLDER"):
        load_captioner(state, str(tmp_path), where="x")
