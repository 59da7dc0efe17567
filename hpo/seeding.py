"""All randomness of hpo: streams keyed by what they are for, never by what ran before.

Two kinds, both functions of their key alone:

* `generator(*key)`: a NumPy generator for the host (searchers, splits), Philox keyed by a hash of `key`.
* counter-based draws, vectorised over a tensor of keys (training): row k of `uniform(keys, n)` depends
  on `keys[k]` only, so one trial and a population of thousands draw the same numbers.

The draws are SplitMix64 streams with a start and an odd increment of their own for every key:
Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014,
https://doi.org/10.1145/2660193.2660195). They work on any device, in wrapping int64 arithmetic.
"""

from __future__ import annotations

import functools
import hashlib
import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0x7FEB352D, 0x846CA68B - 2**32)  # of lowbias32: https://github.com/skeeto/hash-prospector
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))  # of SplitMix64's output function: shift, multiplier
_LAST_BITS = 31
_OFFSET = 0xD1B54A32D192ED03  # _mix(0) is 0: without it, folding the counter 0 into the key 0 would give 0 again


def _digest(key: tuple[int | str, ...], size: int) -> int:
    # repr keeps 1 and "1" apart, and the separators keep ("a", "b") and ("ab",) apart; NumPy's 1 is 1
    text = "\x1f".join(repr(part if isinstance(part, str) else operator.index(part)) for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest(), "little")


def derive(*key: int | str) -> int:
    """A seed in [0, 2^63) that is a function of `key` alone: of (study seed, trial number, purpose), say."""
    return _digest(key, 8) >> 1


def generator(*key: int | str) -> np.random.Generator:
    """A NumPy generator that is a function of `key` alone."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=_digest(key, 16)))


def permute(index: int, size: int, *key: int | str) -> int:
    """The image of `index` under a pseudorandom permutation of range(size), in constant memory.

    An eight-round Feistel network on the next even number of bits, walked until it lands inside the range
    (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002): at most four walks on
    average, for any size, 2^40 or 10^1000. (Four rounds are visibly biased for a handful of items.)
    """
    if not 0 <= index < size:
        raise IndexError(f"index {index} is outside range({size})")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    width = (half + 7) // 8  # bytes
    seed = _digest(key, 16).to_bytes(16, "little")
    while True:
        left, right = index >> half, index & mask
        for round_ in range(8):
            word = hashlib.shake_128(seed + bytes([round_]) + right.to_bytes(width, "little")).digest(width)
            left, right = right, left ^ (int.from_bytes(word, "little") & mask)
        index = left << half | right
        if index < size:
            return index


def _signed(z: int) -> int:
    """The int64 with the same bits as the unsigned 64-bit `z`."""
    return z - (1 << 64) if z >> 63 else z


def _mix(z: Tensor) -> Tensor:
    """SplitMix64's output function, a bijection of 64-bit words."""
    return _mix_(z.clone())


def _mix_(z: Tensor) -> Tensor:
    """`_mix` in place, with one buffer: long draws are limited by memory traffic.

    On the CPU in NumPy, whose calls cost less than torch's, and which has unsigned words.
    """
    if z.device.type == "cpu":
        import numpy as np

        words = z.numpy().view(np.uint64)
        scratch = np.empty_like(words)
        for bits, multiplier in _ROUNDS:
            words ^= np.right_shift(words, bits, out=scratch)
            words *= multiplier
        words ^= np.right_shift(words, _LAST_BITS, out=scratch)
        return z
    buffer = z.new_empty(z.shape)
    for bits, multiplier in _ROUNDS:
        z.bitwise_xor_(_shift(z, bits, buffer)).mul_(_signed(multiplier))
    return z.bitwise_xor_(_shift(z, _LAST_BITS, buffer))


def _shift(z: Tensor, bits: int, out: Tensor | None = None) -> Tensor:
    """Logical right shift of int64."""
    import torch

    return torch.bitwise_right_shift(z, bits, out=out).bitwise_and_((1 << (64 - bits)) - 1)


@functools.cache
def _word(part: str) -> int:
    return _signed(_digest((part,), 8))


def fold(keys: Tensor, *path: int | str | Tensor) -> Tensor:
    """The keys of sub-streams: `fold(keys, "dropout", step)`.

    Args:
        keys: (K,) int64.
        path: purposes (str) and counters (int, or a (K,) tensor of integers for one per key).

    Returns:
        (K,) int64.
    """
    import torch

    for part in path:
        # counters are multiplied first, so that small ones are spread before they meet the key
        if isinstance(part, str):
            word: int | Tensor = _word(part)
        elif isinstance(part, torch.Tensor):
            word = part.long() * _signed(_GOLDEN)
        else:
            word = _signed(operator.index(part) * _GOLDEN & _MASK)
        keys = _mix_(_mix_(keys + _signed(_OFFSET)) + word)
    return keys


def words(keys: Tensor, count: int, start: int = 0) -> Tensor:
    """Random 64-bit words number `start` to `start + count - 1` of every key: (K,) int64 -> (K, count) int64."""
    import torch

    counters = torch.arange(start + 1, start + count + 1, device=keys.device)
    increments = _mix(keys ^ _signed(_GOLDEN)) | 1  # (K,) odd: every key walks its own cycle of 2^64
    return _mix_((increments[:, None] * counters).add_(keys[:, None]))  # (K, count)


def uniform(keys: Tensor, count: int) -> Tensor:
    """Uniform draws in the open interval (0, 1): (K,) int64 -> (K, count) float64, 52 bits each.

    With 53 bits, adding the half would round the greatest one up to 1, whose normal deviate is infinite.
    """
    return _shift(words(keys, count), 12).double().add_(0.5).mul_(2.0**-52)


def normal(keys: Tensor, count: int) -> Tensor:
    """Standard normal draws by inversion of `uniform`: (K,) int64 -> (K, count) float64."""
    import torch

    draws: Tensor = torch.special.ndtri(uniform(keys, count))
    return draws


def keep(rows: Tensor, units: Tensor, dropout: Tensor, memory: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Which units survive dropout in a table of rows and units: that of each depends on its row's and its unit's word.

    The two words meet, and a bijection that multiplies twice spreads what they share with their neighbours: 32-bit
    words, for which processors have vector instructions. 23 bits decide, so probabilities are rounded to 2^-23.

    Args:
        rows: the lower halves of `words`, (K, R) int32.
        units: others, (K, U) int32.
        dropout: probabilities of dropping, (K,) in [0, 1].
        memory: two tensors (K, R, U) int32 to work in, of which the first becomes the result: fresh memory costs
            more than the draws.

    Returns:
        (K, R, U) float32: 1 for a unit that is kept, 0 for one that is dropped.
    """
    drawn = _meet(rows, units, memory)
    return drawn.ge_((1 + dropout.double()).float()[:, None, None])


def uniform_table(rows: Tensor, units: Tensor) -> Tensor:
    """Uniform draws in (0, 1) for a table of rows and units, 23 bits each: (K, R), (K, U) -> (K, R, U) float32.

    See `keep`; the greatest one is 1 - 2^-24, so the normal deviate of each is finite.
    """
    return _meet(rows, units, None).sub_(1 - 2.0**-24)


def _meet(rows: Tensor, units: Tensor, memory: tuple[Tensor, Tensor] | None) -> Tensor:
    """1 + a fraction of 23 random bits, (K, R, U) float32; arguments as in `keep`."""
    import torch

    z, shifted = memory or (None, None)
    z = torch.bitwise_xor(rows[:, :, None], units[:, None], out=z).mul_(_MULTIPLIERS[0])
    # the shift repeats the sign, which the lower bits that count do not mind
    z.bitwise_xor_(torch.bitwise_right_shift(z, 15, out=shifted)).mul_(_MULTIPLIERS[1])
    return z.bitwise_and_(0x007FFFFF).bitwise_or_(0x3F800000).view(torch.float32)


def permutation(keys: Tensor, count: int) -> Tensor:
    """A random order of range(count) for every key: (K,) int64 -> (K, count) int64."""
    return words(keys, count).argsort(dim=1, stable=True)
