"""Baseline and run with RDH beside each other, with equal settings and seed."""

import numpy as np
import pandas as pd

SAME = ("method", "title", "n_bits", "seed", "lr")
BASELINE, RDH, ERROR_AWARE = "", "rdh", "eaq"  # arms
AIM, SCALE = "gradient", 1.0  # the paper's


def paired(frame: pd.DataFrame) -> pd.DataFrame:
    """Pairs of `measured`: a row for each run with the paper's RDH that has its baseline.

    Returns:
        The columns of SAME, eta (of RDH), every measured column of the baseline under its name and
        of the run with RDH with _rdh at its end, and gain: MAP with RDH minus without.
    """
    with_rdh = frame[(frame["arm"] == RDH) & (frame["aim"] == AIM) & (frame["scale"] == SCALE)]
    baseline = frame[frame["arm"] == BASELINE]
    merged = baseline.merge(with_rdh, on=list(SAME), suffixes=("", "_rdh"))
    # a baseline without a quantization term has no eta: it is the partner of every weight
    alike = merged["eta"].isna() | np.isclose(merged["eta"].fillna(0), merged["eta_rdh"].fillna(0))
    merged = merged[alike].reset_index(drop=True)
    merged["eta"] = merged["eta_rdh"]
    return merged.assign(gain=merged["map_rdh"] - merged["map"])
