"""Teaches a small model of your own what a large one answers, from traffic that was kept.

export.py       transcripts to training pairs: clean, told apart, split        `pickllm export`
selection.py    which answers are fit; judgements.py: what was said of them
pairs.py        a pair, in the format of fine-tuning
gathered.py     pairs on their way, on disk; exported.py: the files that come of them
distil.py       pairs to a student in a folder that serves as an arm           `pickllm distill`
lessons.py      a pair in tokens: what is shown, and what is learnt
training.py     epochs, early stopping, checkpoints
measuring.py    loss, and agreement with the teacher

Source: the fine-tuning half of "LLM approximation" in Chen, Zaharia and Zou, FrugalGPT
(arXiv 2305.05176), section 3; sequence-level distillation after Kim and Rush (arXiv 1606.07947).
"""

from pickllm.distillation.distil import Distilled, distil, read_distilled
from pickllm.distillation.export import ExportSettings, export_pairs
from pickllm.distillation.exported import Exported, read_export
from pickllm.distillation.judgements import Judgements, judgements_of
from pickllm.distillation.measuring import Measured
from pickllm.distillation.pairs import Pair, read_pairs
from pickllm.distillation.selection import Selection
from pickllm.distillation.training import Training

__all__ = [
    "Distilled",
    "ExportSettings",
    "Exported",
    "Judgements",
    "Measured",
    "Pair",
    "Selection",
    "Training",
    "distil",
    "export_pairs",
    "judgements_of",
    "read_distilled",
    "read_export",
    "read_pairs",
]
