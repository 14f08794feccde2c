"""How are states multiplied by a whole vocabulary without writing L x V logits? In torch, on a GPU, on a CPU."""
