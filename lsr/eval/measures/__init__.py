"""How good, how certain and how costly? Measures, tests and times."""
