"""The reducer `aggregate`: sums, extremes, counts and histograms of what mappers write as `function:key<tab>value`. Pure.

Source: https://hadoop.apache.org/docs/stable/hadoop-streaming/HadoopStreaming.html, "Hadoop Aggregate Package", and the classes of
org.apache.hadoop.mapred.lib.aggregate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, pstdev

_Values = Sequence[str]


def _whole(compute: Callable[[Iterable[int]], int]) -> Callable[[_Values], str]:
    return lambda values: str(compute(int(value) for value in values))


def _histogram(values: _Values) -> str:
    """Tell how often values come: how many there are, fewest, median, most, average and deviation of their counts."""
    counts: Counter[str] = Counter()
    for value in values:
        text, tab, number = value.rpartition("\t")
        counts[text if tab else value] += int(number) if tab else 1
    often = sorted(counts.values())
    shown = (len(often), often[0], often[len(often) // 2], often[-1], fmean(often), pstdev(often))
    return "\t".join(map(str, shown))


_FUNCTIONS: dict[str, Callable[[_Values], str]] = {
    "LongValueSum": _whole(sum),
    "LongValueMax": _whole(max),
    "LongValueMin": _whole(min),
    "DoubleValueSum": lambda values: str(sum(float(value) for value in values)),
    "StringValueMax": max,
    "StringValueMin": min,
    "UniqValueCount": lambda values: str(len(set(values))),
    "ValueHistogram": _histogram,
}


def aggregated(key: bytes, values: Iterable[bytes]) -> bytes:
    """Return the line that a key and its values come to.

    Raises ValueError for a key that names no function, and for a value that the function cannot take.
    """
    function, colon, name = key.decode(errors="surrogateescape").partition(":")
    compute = _FUNCTIONS.get(function)
    if not colon or compute is None:
        raise ValueError(
            f"{key.decode(errors='replace')!r} names no function of aggregate: write one of {', '.join(_FUNCTIONS)}, and a colon"
        )
    texts = [value.decode(errors="surrogateescape") for value in values]
    try:
        result = compute(texts)
    except ValueError:
        raise ValueError(
            f"{function} takes numbers, and the values of {name!r} are others, such as {max(texts)!r}"
        ) from None
    return f"{name}\t{result}".encode(errors="surrogateescape")
