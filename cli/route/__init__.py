"""`fleet route`: what the router decided, what came of it, which arm does better.

======== ================================================================
command  the command line
since    durations such as `24h` (pure)
reading  rows of the decision log, from Redis
report   `fleet route report`: shares, times, misroutes, suggestions
compare  `fleet route compare`: the arms of an experiment
export   `fleet route export`: the rows themselves
======== ================================================================

What is computed is in the router's pure modules; here it is read and drawn.
"""
