"""The main job end to end on embedded parts: drawn or real pictures, sandbox, oracle, training, judgement."""
