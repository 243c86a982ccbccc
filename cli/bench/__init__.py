"""`fleet bench`: the same load sent to a model server directly and through the fleet.

========== ==============================================================
load       what is asked for, when, and what the answer must be (pure)
figures    from samples to figures (pure)
report     figures as tables and as JSON (pure)
wire       one HTTP/1.1 connection, cheap enough not to disturb
targets    the two ways to the same model server
drive      sends a load, interleaved, and keeps what came back
crowd      idle readers: open streams of jobs that do not move
processes  processor time and memory of the fleet's processes
private    a fleet for one measurement alone
stub       a model server that answers on an exact schedule
run        the whole measurement
command    its command line
========== ==============================================================
"""
