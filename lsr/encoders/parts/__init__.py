"""Which parts is every encoder made of? Activations, pools, heads, gates, sparsifiers: one small file each, in torch.

Shapes: B texts, L tokens, H numbers a state, V terms. ``hidden`` is float[B, L, H], ``mask`` bool[B, L] says which
positions count, ``weight`` float[V, H] and ``bias`` float[V] are a vocabulary head. All are differentiable; what a
sparsifier drops gets no gradient. `lsr.encoders.network.side_network` puts them together as a declaration says.
"""
