"""`fleet report`: each model's work, its speed and its price, beside what was expected.

========== ================================================================
command    the command line
run        reads the decision log and the sizes of weights
drawn      the tables and lines (pure)
comparison the strategy's own table, filled from real use (pure)
========== ================================================================

What is computed is in `router.work`.
"""
