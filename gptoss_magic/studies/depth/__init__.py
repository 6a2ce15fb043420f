"""The depth study: how far a task can be specialised for, by what means, and what it breaks.

body → task (rows split once) → ladder → plan      nothing is answered but a few timed prompts
runner: a rung after another, each kept whole in the study's folder
figures: gain and damage of all rungs, paired against bare
"""
