"""Which parts is every encoder made of? Heads, gates, pools, activations, sparsifiers: one unit each.

A unit says its name, its tensors and their shapes, what it may be combined with, and how it runs in torch (to train and
on a GPU) and in numpy (to serve). `registry` lists the units; `lsr.encoders.network.side_network` puts them together in
torch, `lsr.encoders.runners.array_side` in numpy.

Shapes: B texts, L tokens, H numbers a state, V terms. ``hidden`` is float[B, L, H], ``mask`` bool[B, L] says which
positions count, ``weight`` float[V, H] and ``bias`` float[V] are a vocabulary head. All are differentiable; what a
sparsifier drops gets no gradient.
"""
