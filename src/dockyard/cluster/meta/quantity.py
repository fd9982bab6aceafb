"""Turns a resource quantity (``1500m``, ``64Mi``, ``1e3``) into an exact number and one text.

``apimachinery/pkg/api/resource``: a signed decimal number with a binary (``Ki``), decimal (``k``,
``m``) or exponent (``e3``) suffix. Numbers are exact fractions of 10^-9; what is finer rounds up.
The canonical form keeps the suffix's family, has no fraction and the largest suffix possible.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_UP, Context, Decimal, localcontext
from functools import lru_cache

from dockyard.base.errors import Invalid

FORMAT_FAULT = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
_LONGEST = 256
_SHAPE = re.compile(
    r"([+-]?)(\d+\.?\d*|\.\d+)(?:(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)|[eE]([+-]?\d{1,3}))?\Z",
    re.ASCII,
)
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_NAMES = {power: name for name, power in _DECIMAL.items()}
_BINARY_NAMES = {power: name for name, power in _BINARY.items()}
_CONTEXT = Context(prec=400)
_NANO = Decimal(1).scaleb(-9)
_LARGEST = Decimal(2**63 - 1)

DECIMAL_SI, BINARY_SI, DECIMAL_EXPONENT = "DecimalSI", "BinarySI", "DecimalExponent"


@lru_cache(maxsize=8192)
def parse(text: str) -> tuple[Decimal, str]:
    """The value and the family of its suffix; :class:`Invalid` for anything else."""
    shape = _SHAPE.match(text) if len(text) <= _LONGEST else None
    if shape is None:
        raise Invalid(FORMAT_FAULT)
    sign, digits, suffix, exponent = shape.groups()
    with localcontext(_CONTEXT):
        value = Decimal(digits)
        if exponent is not None:
            family = DECIMAL_EXPONENT
            value = value.scaleb(int(exponent))
        elif suffix in _BINARY:
            family = BINARY_SI
            value *= 1024 ** _BINARY[suffix]
        else:
            family = DECIMAL_SI
            value = value.scaleb(_DECIMAL[suffix or ""])
        if value > _LARGEST:
            value = _LARGEST
        elif value.as_tuple().exponent < -9:  # type: ignore[operator]
            value = value.quantize(_NANO, rounding=ROUND_UP)
    return (-value if sign == "-" else value), family


def value_of(quantity: str | int | float) -> Decimal:
    """The exact number."""
    return parse(str(quantity))[0]


@lru_cache(maxsize=8192)
def milli(quantity: str | int) -> int:
    """Thousandths, rounded up: ``"0.5"`` is 500."""
    return int((value_of(quantity) * 1000).to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=8192)
def whole(quantity: str | int) -> int:
    """Whole units, rounded up: ``"1Ki"`` is 1024, ``"100m"`` is 1."""
    return int(value_of(quantity).to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=8192)
def canonical(text: str) -> str:
    """The one spelling under which the API stores and shows a quantity."""
    value, family = parse(text)
    return render(value, family)


def render(value: Decimal, family: str = DECIMAL_SI) -> str:
    """The canonical text of a number in a family of suffixes."""
    if not value:
        return "0"
    sign, amount = ("-", -value) if value < 0 else ("", value)
    with localcontext(_CONTEXT):
        if family == BINARY_SI and (amount < 1024 or amount != amount.to_integral_value()):
            # Too small (or not whole) for a binary suffix: the decimal family says it.
            family = DECIMAL_SI
        if family == BINARY_SI:
            return sign + _binary(int(amount))
        return sign + _decimal(amount, family)


def _binary(amount: int) -> str:
    power = 0
    while power < 6 and amount % 1024 == 0:
        amount //= 1024
        power += 1
    return f"{amount}{_BINARY_NAMES.get(power, '')}"


def _decimal(amount: Decimal, family: str) -> str:
    power = -9
    units = int(amount.scaleb(9))
    while units % 1000 == 0 and (power < 18 or family == DECIMAL_EXPONENT):
        units //= 1000
        power += 3
    if family == DECIMAL_EXPONENT:
        return f"{units}e{power}" if power else str(units)
    return f"{units}{_DECIMAL_NAMES[power]}"
