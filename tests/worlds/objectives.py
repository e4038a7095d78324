"""Every objective at the size of the small world, by name."""

OBJECTIVES = {
    "concepts": "{kind: concepts, num_concepts: 4}",
    "clip": "{kind: concepts, num_concepts: 4, target: clip}",
    "pooled": "{kind: pooled, head_width: 32}",
    "pooled_flat": "{kind: pooled, head_width: 32, pool: flatten}",
    "local": "{kind: local}",
    "dense": "{kind: dense}",
    "masked": "{kind: masked, decoder_depth: 1}",
    "joint": "{kind: joint, num_concepts: 4, decoder_depth: 1}",
    "joint_one_pass": "{kind: joint, num_concepts: 4, decoder_depth: 1, passes: one}",
    "maskpoint": "{kind: maskpoint, real_queries: 32, fake_queries: 32}",
}
