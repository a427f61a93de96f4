"""Figures from their definitions, pair by pair and threshold by threshold."""

from __future__ import annotations

from collections.abc import Sequence


def roc_auc(score: Sequence[float], label: Sequence[int], weight: Sequence[float]) -> float:
    won = total = 0.0
    for s, y, a in zip(score, label, weight, strict=True):
        for t, z, b in zip(score, label, weight, strict=True):
            if y == 1 and z == 0:
                total += a * b
                won += a * b * (1.0 if s > t else 0.5 if s == t else 0.0)
    return won / total


def counts_at(
    threshold: float, score: Sequence[float], label: Sequence[int], weight: Sequence[float]
) -> tuple[float, float, float]:
    hit = sum(w for s, y, w in zip(score, label, weight, strict=True) if s >= threshold and y == 1)
    false = sum(w for s, y, w in zip(score, label, weight, strict=True) if s >= threshold and y == 0)
    missed = sum(w for s, y, w in zip(score, label, weight, strict=True) if s < threshold and y == 1)
    return hit, false, missed


def pr_auc(score: Sequence[float], label: Sequence[int], weight: Sequence[float]) -> float:
    area = before = 0.0
    for threshold in sorted(set(score), reverse=True):
        hit, false, missed = counts_at(threshold, score, label, weight)
        recall = hit / (hit + missed)
        area += (recall - before) * (hit / (hit + false) if hit + false else 0.0)
        before = recall
    return area


def oracle(score: Sequence[float], label: Sequence[int], weight: Sequence[float]) -> float:
    best = 0.0
    for threshold in set(score):
        hit, false, missed = counts_at(threshold, score, label, weight)
        best = max(best, 2 * hit / (2 * hit + false + missed))
    return best


def recall_by_pattern(
    score: Sequence[float], odd: Sequence[bool], label: Sequence[int], pattern: Sequence[int]
) -> list[float]:
    """Recall after each pattern, the one with the highest score first."""
    alerts = [i for i in range(len(score)) if odd[i]]
    order: list[int] = []
    for i in sorted(alerts, key=lambda i: -score[i]):
        if pattern[i] not in order:
            order.append(pattern[i])
    anomalies = sum(y == 1 for y in label)
    recall, found = [0.0], 0
    for one in order:
        found += sum(label[i] == 1 for i in alerts if pattern[i] == one)
        recall.append(found / anomalies)
    return recall


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value times how many are at least as large, never below a smaller one's."""
    n = len(p_values)
    order = sorted(range(n), key=lambda i: p_values[i])
    corrected = [0.0] * n
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, p_values[i] * (n - rank)))
        corrected[i] = highest
    return corrected
