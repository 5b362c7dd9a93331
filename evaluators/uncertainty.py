"""The sign uncertainty principle in one dimension: functions with given double roots."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final, TypeAlias

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import numbers, rounded_up

#: Coefficients, lowest power first.
Polynomial: TypeAlias = list[int]

MAX_ROOTS: Final = 25
LARGEST_ROOT: Final = 1000
#: Later sign changes are refused.
LARGEST_PLACE: Final = 10**6
#: Roots are rounded to multiples of 2**-40.
ROOT_BITS: Final = 40
#: A last sign change is located to this many binary digits after the point.
PLACE_BITS: Final = 64
#: From below.
PI: Final = Fraction(314159265358979323846264338327950288419, 10**38)


class SignUncertainty(Evaluator):
    """Minimise the last sign change of a function that is its own Fourier transform, 0 at 0.

    The square of the last sign change of such a function f bounds the constant of the +1
    uncertainty principle of Bourgain, Clozel and Kahane from above. f(r) is
    g(2 pi r^2) exp(-pi r^2) with g a sum of Laguerre polynomials L_0, L_2, L_4, ... with parameter
    -1/2. A program chooses m places; there is one g of degree 4 m + 2 with g(0) = 0 and double
    roots there, up to a factor.
    It is found in integers, and the last sign change of g is bounded from above by Descartes' rule
    of signs on intervals, so the score is proven. Cohn and Gonçalves, "An optimal uncertainty
    principle in twelve dimensions via modular forms", Inventiones mathematicae 217 (2019).
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case; nothing is held out, since a function is its own proof."""
        if stage == "search":
            yield Case({})

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compute the bound that the roots prove."""
        roots = _roots(output)
        quotient = cofactor(roots)
        if quotient is None:
            raise Invalid("these roots determine no function: move one of them a little")
        last = last_root(quotient)
        if last > LARGEST_PLACE:
            raise Invalid(f"the last sign change is beyond {LARGEST_PLACE:g}")
        bound = last / (2 * PI)
        where = sum(Fraction(root, 1 << ROOT_BITS) < last for root in roots)
        return Score(
            objective=rounded_up(bound),
            measures={"roots": float(len(roots)), "largest_root": roots[-1] / 2**ROOT_BITS},
            feedback=f"Proven bound {float(bound):.12f}: with {len(roots)} double roots, the last "
            f"sign change of g is at {float(last):.9f}; {where} of the roots lie before it.",
        )


def cofactor(roots: Sequence[int]) -> Polynomial | None:
    """Return q with g = x q(x) (x - z_1)^2 ... (x - z_m)^2 for the g of `SignUncertainty`.

    Only its proportions are meant. With h_k = g_k (2k - 1)!! / 2^k, g has no Laguerre polynomial of
    odd degree exactly if the polynomial h(1 + t) is even, which is one equation for each odd power.

    Args:
        roots: The places z, in units of 2**-ROOT_BITS.

    Returns:
        Coefficients in that unit of x, or None when there is more than one such g.
    """
    squares = [1]
    for root in [*roots, *roots]:
        squares = [a - root * b for a, b in zip([0, *squares], [*squares, 0], strict=True)]
    degree = 4 * len(roots) + 2
    odd = itertools.accumulate(range(1, degree + 1), lambda f, k: f * (2 * k - 1), initial=1)
    # x^k is 2^(ROOT_BITS k) in the unit of the roots, of which h_k takes 2^k away.
    weights = [f << (ROOT_BITS - 1) * k for k, f in enumerate(odd)]
    columns = []
    for power in range(2 * len(roots) + 2, 0, -1):
        g = [*[0] * power, *squares]
        columns.append(
            shifted([a * weight for a, weight in zip(g, weights, strict=False)], 1)[1::2]
        )
    height = degree // 2
    rows = [[c[i] if i < len(c) else 0 for c in columns] for i in reversed(range(height))]
    solution = kernel(rows)
    return solution[::-1] if solution else None


def kernel(rows: list[list[int]]) -> list[int] | None:
    """Return a solution of n homogeneous equations in n + 1 unknowns, or None if not unique.

    By elimination without fractions: Bareiss, "Sylvester's identity and multistep
    integer-preserving Gaussian elimination", Mathematics of Computation 22 (1968).
    """
    n, previous = len(rows), 1
    rows = [[a // (math.gcd(*row) or 1) for a in row] for row in rows]
    for k in range(n):
        chosen = next((i for i in range(k, n) if rows[i][k]), None)
        if chosen is None:
            return None
        rows[k], rows[chosen] = rows[chosen], rows[k]
        pivot = rows[k]
        for i in range(k + 1, n):
            row = rows[i]
            rows[i] = [
                (pivot[k] * b - row[k] * a) // previous for a, b in zip(pivot, row, strict=True)
            ]
        previous = pivot[k]
    solution = [0] * n + [previous]
    for k in reversed(range(n)):
        rest = sum(a * x for a, x in zip(rows[k][k + 1 :], solution[k + 1 :], strict=True))
        solution[k] = -rest // rows[k][k]
    return solution


def last_root(polynomial: Polynomial) -> Fraction:
    """Return an upper bound for the last positive root, within 2**-PLACE_BITS if it is simple.

    Intervals without a root are told by Descartes' rule of signs (Collins and Akritas, "Polynomial
    real root isolation using Descarte's rule of signs", SYMSAC 1976). Where it cannot tell on the
    shortest interval, as for two complex roots right at the axis, that counts as a root.

    Args:
        polynomial: With the unit of x of `cofactor`.

    Raises:
        Invalid: there is none.
    """
    extra, degree = PLACE_BITS - ROOT_BITS, len(polynomial) - 1
    fine = [a << extra * (degree - k) for k, a in enumerate(polynomial)]
    end = 1 << PLACE_BITS
    while (beyond := shifted(fine, end))[0] == 0 or _variations(beyond):
        end *= 2
    pending = [(0, end)]
    while pending:
        low, high = pending.pop()
        at_low = shifted(fine, low)
        if _variations_within(at_low, high - low) == 0:
            if low and at_low[0] == 0:
                return Fraction(low, 1 << PLACE_BITS)
        elif high - low == 1:
            return Fraction(high, 1 << PLACE_BITS)
        else:
            middle = (low + high) // 2
            pending += [(low, middle), (middle, high)]
    raise Invalid("g does not change its sign")


def shifted(polynomial: Sequence[int], by: int) -> Polynomial:
    """Return the coefficients of p(x + by), by Horner's scheme."""
    result = list(polynomial)
    for start in range(len(result) - 1):
        for k in reversed(range(start, len(result) - 1)):
            result[k] += by * result[k + 1]
    return result


def _variations_within(polynomial: Polynomial, length: int) -> int:
    """Return an upper bound, of the same parity, for the number of roots in (0, length)."""
    scaled = list(
        itertools.accumulate(range(1, len(polynomial)), lambda power, _: power * length, initial=1)
    )
    return _variations(
        shifted([a * power for a, power in zip(polynomial, scaled, strict=True)][::-1], 1)
    )


def _variations(polynomial: Polynomial) -> int:
    signs = [a > 0 for a in polynomial if a]
    return sum(a != b for a, b in itertools.pairwise(signs))


def _roots(output: Value) -> list[int]:
    """Read the places of the double roots, sorted, in units of 2**-ROOT_BITS.

    Raises:
        Invalid: ``output`` is anything else; says which root and why.
    """
    given = numbers(output, count=(1, MAX_ROOTS), low=0.1, high=LARGEST_ROOT, name="root")
    return sorted(round(Fraction(root) * 2**ROOT_BITS) for root in given)
