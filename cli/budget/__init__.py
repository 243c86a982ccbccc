"""`fleet budget`: what models that cost money have cost today and this month, and will.

==== ==================================
told what is shown, from the book (pure)
run  read from Redis, and drawn
==== ==================================
"""
