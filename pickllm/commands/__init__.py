"""Commands of the command line, put together in `pickllm.cli`.

ranking.py    fit, evaluate and calibrate routers that predict before anything is paid
distillation.py  export training pairs, and teach a small model
tables.py     what they read: preferences, grades and prompts in files
showing.py    tables in a terminal
"""
