"""GPT-2 turns a prefix into words, as ClipCap's official inference does.

Greedy search is `generate2` and beam search `generate_beam` of rmokady/CLIP_prefix_caption's
predict.py (@ 1ad805a); both stop at a token, which they include, or after `max_tokens`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from stages.machine.hub import go_offline_if_unreachable

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

GPT = "gpt."
MAX_TOKENS = 67
HEAD_WIDTH = 64  # of every published GPT-2
TOKENIZER_FILES = "tokenizer.json and tokenizer_config.json"
# Buffers that checkpoints of transformers 4 carry and nobody needs.
_BUFFERS = re.compile(r"\.attn\.(masked_)?bias$")


@dataclass(frozen=True)
class Captioner:
    """A language model and its tokenizer; `stop` is the token that ends a sentence."""

    model: "GPT2LMHeadModel"
    tokenizer: Any
    stop: int

    def captions(self, prefix: Tensor, *, beams: int = 1) -> list[str]:
        """Say prefixes (B, L, D) in words; `beams` 1 is greedy."""
        if beams == 1:
            tokens = greedy(self.model, prefix, stop=self.stop)
        else:
            tokens = [beam(self.model, one, stop=self.stop, beams=beams)[0] for one in prefix]
        return [str(self.tokenizer.decode(ids)).strip() for ids in tokens]


def load_captioner(
    state: Mapping[str, Tensor], tokenizer: str, *, where: str, device: torch.device | str = "cpu"
) -> Captioner:
    """Rebuild the language model of a ClipCap checkpoint, with its tokenizer.

    Raises ValueError naming `where` if it has none, or saying which files the tokenizer needs.
    """
    loaded = load_tokenizer(tokenizer)
    model: Any = load_language_model(state, where=where)
    model.to(device)
    if len(loaded) > model.config.vocab_size:
        raise ValueError(
            f"tokenizer {tokenizer} has {len(loaded)} tokens, {where} {model.config.vocab_size}; "
            "they do not belong together"
        )
    return Captioner(model, loaded, stop=loaded.encode(".")[0])


def load_tokenizer(name: str) -> Any:
    """Load a tokenizer from a folder, or from the hub by name."""
    from transformers import AutoTokenizer

    if not Path(name).is_dir():
        go_offline_if_unreachable()
    try:
        return AutoTokenizer.from_pretrained(name)
    except Exception as error:
        raise ValueError(
            f"tokenizer {name}: cannot be loaded: {str(error).splitlines()[0]} Without a network, "
            f"put {TOKENIZER_FILES} of https://huggingface.co/openai-community/gpt2 into a folder "
            "and name it: --set teacher.tokenizer=FOLDER"
        ) from None


def load_language_model(
    state: Mapping[str, Tensor], *, where: str, num_heads: int | None = None
) -> "GPT2LMHeadModel":
    """Rebuild GPT-2 from the `gpt.*` tensors of a ClipCap checkpoint, frozen."""
    from transformers import GPT2Config, GPT2LMHeadModel

    own = {
        key.removeprefix(GPT): value.float()
        for key, value in state.items()
        if key.startswith(GPT) and not _BUFFERS.search(key)
    }
    if not {"transformer.wte.weight", "transformer.wpe.weight"} <= own.keys():
        raise ValueError(
            f"{where}: no language model in it ({GPT}transformer.*), so it gives prefixes but no "
            "words"
        )
    vocabulary, width = own["transformer.wte.weight"].shape
    layers = {key.split(".")[2] for key in own if key.startswith("transformer.h.")}
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=own["transformer.wpe.weight"].shape[0],
        n_embd=width,
        n_layer=len(layers),
        n_head=num_heads or max(1, width // HEAD_WIDTH),
        bos_token_id=min(50_256, vocabulary - 1),
        eos_token_id=min(50_256, vocabulary - 1),
    )
    model = GPT2LMHeadModel(config)
    own.setdefault("lm_head.weight", own["transformer.wte.weight"])
    try:
        model.load_state_dict(own)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise ValueError(f"{where}: its language model is no GPT-2: {first}") from None
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def greedy(
    model: "GPT2LMHeadModel", prefix: Tensor, *, stop: int, max_tokens: int = MAX_TOKENS
) -> list[list[int]]:
    """Take the likeliest token each time: prefixes (B, L, D) to token ids, the stop included."""
    embeds, past = prefix.to(model.dtype), None
    chosen = torch.zeros(len(prefix), 0, dtype=torch.long, device=prefix.device)
    for _ in range(max_tokens):
        output = model(inputs_embeds=embeds, past_key_values=past, use_cache=True)
        token = output.logits[:, -1].argmax(dim=-1, keepdim=True)
        chosen, past = torch.cat([chosen, token], dim=1), output.past_key_values
        if (chosen == stop).any(dim=1).all():
            break
        embeds = model.transformer.wte(token)
    return [_until(row, stop) for row in chosen.tolist()]


@torch.inference_mode()
def beam(
    model: "GPT2LMHeadModel",
    prefix: Tensor,
    *,
    stop: int,
    beams: int = 5,
    max_tokens: int = MAX_TOKENS,
) -> list[list[int]]:
    """Keep the `beams` sentences of the highest mean log-probability; best first, for one (L, D).

    A finished sentence stays among them with its score. The mean is over its own tokens, the stop
    included.
    """
    embeds = prefix[None].to(model.dtype)
    first = model(inputs_embeds=embeds).logits[0, -1].log_softmax(-1)
    total, token = first.topk(beams)  # (K,) sums of log-probabilities
    tokens = token[:, None]
    lengths = torch.ones(beams, device=prefix.device)
    ended = token == stop
    embeds = torch.cat([embeds.expand(beams, -1, -1), model.transformer.wte(token)[:, None]], dim=1)
    for _ in range(max_tokens - 1):
        if ended.all():
            break
        step = model(inputs_embeds=embeds).logits[:, -1].log_softmax(-1)
        step[ended] = -torch.inf
        step[ended, 0] = 0  # one way on, free of charge: padding
        lengths = lengths + (~ended).float()
        mean = (total[:, None] + step) / lengths[:, None]
        best, flat = mean.flatten().topk(beams)
        source, token = flat // step.shape[1], flat % step.shape[1]
        lengths, ended = lengths[source], ended[source] | (token == stop)
        total = best * lengths
        tokens = torch.cat([tokens[source], token[:, None]], dim=1)
        embeds = torch.cat([embeds[source], model.transformer.wte(token)[:, None]], dim=1)
    order = (total / lengths).argsort(descending=True).tolist()
    return [tokens[i, : int(lengths[i])].tolist() for i in order]


def _until(tokens: list[int], stop: int) -> list[int]:
    return tokens[: tokens.index(stop) + 1] if stop in tokens else tokens
