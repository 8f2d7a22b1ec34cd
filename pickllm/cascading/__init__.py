"""Cascades: ask a cheap arm, look at its answer, and ask a better one only where it pays.

thresholds.py   show the first answer that scores well enough; the cascade of FrugalGPT, mended
"""

from pickllm.cascading.thresholds import HOLD_BACK_CHARS, ThresholdCascade, best_shown

__all__ = ["HOLD_BACK_CHARS", "ThresholdCascade", "best_shown"]
