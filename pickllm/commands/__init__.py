"""Commands of the command line, put together in `pickllm.cli`.

ranking.py       fit, evaluate and calibrate routers that predict before anything is paid
preferences.py   what they are fitted on: battles out of live traffic, or bought from a judge
cascade.py       fit a cascade on recorded answers, beside what is simpler
distillation.py  export training pairs, teach a small model, forget what was kept
tables.py        what they read: preferences, grades, answers and prompts in files
showing.py       tables in a terminal
"""
