"""`fleet route`: what the router decides, what came of it, which arm does better.

======== ================================================================
command  the command line
since    durations such as `24h` (pure)
reading  rows of the decision log, from Redis
report   `fleet route report`: shares, times, misroutes, suggestions
compare  `fleet route compare`: the arms of an experiment
export   `fleet route export`: the rows themselves
evaluate `fleet route eval`: queries whose route is known
explain  `fleet route explain`: why a text goes where it goes
fit      `fleet route fit`: learns the routes from examples
progress how far a long piece of work is
tables   tables as these commands draw them (pure)
======== ================================================================

What is computed is in the router's pure modules; here it is read and drawn.
"""
