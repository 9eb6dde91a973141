"""Whether the name of a series says that it is a T1-weighted scan of the whole head."""

from __future__ import annotations

import re
from collections.abc import Sequence

_T1 = re.compile(
    r"mp_?rage|f?spgr|bravo|3d_?tfe|(^|_|\d)t1|3dt1|tfl(_|$)"
    # ADNI's corrected series: "MPR; GradWarp; B1 Correction; N3".
    r"|^mpr_(r_)?(gradwarp|b1|n3|scaled)"
)
_OTHERS = re.compile(
    r"(^|_|\d|ax|sag|cor)t2|flair|locali|scout|survey|calib|field_?map|bold|fmri|(^|_)rest"
    r"|diff|perf|hippo|contrast|phantom|_mt(_|$)|^mt_|(^|_)gd(_|$)"
    r"|(^|_)(dti|dwi|asl|adc|cbf|fa|pd|gre|fse|tse|swi|mra|tof|pet|epi|mag|phase|mask)(_|$)"
)


def is_t1_name(series: str, also: Sequence[str] = ()) -> bool:
    """Whether a series' name is that of a T1 scan: MPRAGE, IR-FSPGR, T1w..., not T2, FLAIR, scouts.

    Args:
        series: its description, or its folder or file name.
        also: further words of T1 scans in this cohort; a number may follow them.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", series.casefold()).strip("_")
    if _OTHERS.search(plain):
        return False
    words = {word.rstrip("0123456789") for word in plain.split("_")}
    return bool(_T1.search(plain)) or not words.isdisjoint(also)
