"""How does one encoder become another: exported, averaged, rescaled, pruned?"""
