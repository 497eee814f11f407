from __future__ import annotations

import math
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.keys.hashed_texts import hash_text
from transforms.keys.parent_keys import KeyMap, KeySet

INT64 = st.integers(-(2**63), 2**63 - 1)
NEAR = st.integers(-40, 40)
EDGES = st.sampled_from([-(2**63), -(2**63) + 1, -1, 0, 1, 2**63 - 2, 2**63 - 1])
TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["", " ", "A", "a", "Ä", "A\u0308", "NULL", "\\", '"', "\U0001d518", "0", "00", "a\x00b"]
)


def constant(texts: pa.Array) -> npt.NDArray[np.uint64]:
    return np.full(len(texts), 7, np.uint64)


def by_length(texts: pa.Array) -> npt.NDArray[np.uint64]:
    return np.array([len(t or "") % 3 for t in texts.to_pylist()], np.uint64)


HASHES = st.sampled_from([hash_text, constant, by_length])


@st.composite
def chunked(draw: st.DrawFn, values: st.SearchStrategy[Any], kind: pa.DataType) -> pa.ChunkedArray:
    """Several chunks, empty ones and slices with an offset among them."""
    chunks = []
    for items in draw(st.lists(st.lists(values | st.none(), max_size=30), max_size=4)):
        array = pa.array(items, kind)
        chunks.append(array.slice(draw(st.integers(0, len(items)))) if items else array)
    return pa.chunked_array(chunks, kind)


def expected(keys: pa.ChunkedArray, probes: list[Any]) -> list[bool | None]:
    known = {key for key in keys.to_pylist() if key is not None}
    return [None if probe is None else probe in known for probe in probes]


@pytest.mark.parametrize("values", [INT64, NEAR, EDGES, EDGES | NEAR], ids=str)
def test_integers_are_found_like_in_a_set(values: st.SearchStrategy[int]) -> None:
    @settings(deadline=None)
    @given(chunked(values, pa.int64()), st.lists(values | st.none()), st.data())
    def check(keys: pa.ChunkedArray, others: list[int | None], data: st.DataObject) -> None:
        probes = data.draw(st.permutations([*others, *keys.to_pylist()]))
        found = KeySet.build(keys).contains(pa.array(probes, pa.int64()))
        assert found.type == pa.bool_()
        assert found.to_pylist() == expected(keys, probes)

    check()


@pytest.mark.parametrize("keys", [pa.int16(), pa.int32(), pa.int64()], ids=str)
@pytest.mark.parametrize("probes", [pa.int16(), pa.int32(), pa.int64()], ids=str)
def test_integers_of_different_widths_are_compared_by_value(
    keys: pa.DataType, probes: pa.DataType
) -> None:
    index = KeySet.build(pa.array([-(2**15), -1, 7, 2**15 - 1], keys))
    values = pa.array([2**15 - 1, 7, 8, -1, None, -(2**15)], probes)
    assert index.contains(values).to_pylist() == [True, True, False, True, None, True]


def test_a_number_far_outside_a_dense_range_is_absent() -> None:
    index = KeySet.build(pa.array(range(1000, 2000), pa.int32()))
    assert index.nbytes < 1000
    far = [999, 2000, -(2**63), 2**63 - 1, 1000 - 2**32, 1000 + 2**32, 1000, 1999]
    assert index.contains(pa.array(far, pa.int64())).to_pylist() == [False] * 6 + [True] * 2


def test_keys_over_the_whole_range_of_integers_take_eight_bytes_each() -> None:
    index = KeySet.build(pa.array([-(2**63), 0, 2**63 - 1]))
    assert index.nbytes == 24
    probes = pa.array([2**63 - 1, 2**63 - 2, 0, -(2**63), 1])
    assert index.contains(probes).to_pylist() == [True, False, True, True, False]


def test_a_bitmap_holds_more_keys_than_one_step_sets() -> None:
    numbers = np.random.default_rng(5).permutation(2_500_000) * 2
    index = KeySet.build(pa.chunked_array([numbers[:2_100_000], numbers[2_100_000:]]))
    assert index.nbytes < 700_000
    probes = np.arange(-10, 5_000_010)
    found = index.contains(pa.array(probes)).to_numpy(zero_copy_only=False)
    assert np.array_equal(found, (probes % 2 == 0) & (probes >= 0) & (probes < 5_000_000))


@settings(deadline=None)
@given(chunked(TEXT, pa.string()), st.lists(TEXT | st.none()), HASHES, st.data())
def test_text_is_found_like_in_a_set_whatever_the_hash(
    keys: pa.ChunkedArray,
    others: list[str | None],
    hashing: Callable[[pa.Array], npt.NDArray[np.uint64]],
    data: st.DataObject,
) -> None:
    probes = data.draw(st.permutations([*others, *keys.to_pylist()]))
    found = KeySet.build(keys, hashing).contains(pa.array(probes, pa.string()))
    assert found.to_pylist() == expected(keys, probes)


def test_a_value_whose_hash_is_a_key_s_is_not_taken_for_it() -> None:
    index = KeySet.build(pa.array(["a", "b"]), constant)
    assert index.contains(pa.array(["c", "b", "a"])).to_pylist() == [False, True, True]


def test_repeated_text_takes_no_memory() -> None:
    once = KeySet.build(pa.array(["twelve bytes", "b"]))
    often = KeySet.build(pa.array(["twelve bytes", "b"] * 5000))
    assert often.nbytes == once.nbytes


def test_large_text_and_slices_are_probed_too() -> None:
    index = KeySet.build(pa.array(["x", "a", "b"]).slice(1))
    probes = pa.array(["x", "b", "a", None], pa.large_string()).slice(1)
    assert index.contains(probes).to_pylist() == [True, True, None]


def as_server_compares(number: float) -> object:
    return "NaN" if math.isnan(number) else number + 0.0


FLOATS = st.floats() | st.sampled_from([0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf])


@settings(deadline=None)
@given(chunked(FLOATS, pa.float64()), st.lists(FLOATS))
@example(
    pa.chunked_array([[0.0, math.nan]]), [-0.0, struct.unpack("d", b"\1" * 6 + b"\xf8\x7f")[0]]
)
def test_floats_are_compared_as_the_server_does(keys: pa.ChunkedArray, others: list[float]) -> None:
    probes = [*others, *(key for key in keys.to_pylist() if key is not None)]
    known = {as_server_compares(key) for key in keys.to_pylist() if key is not None}
    found = KeySet.build(keys).contains(pa.array(probes, pa.float64()))
    assert found.to_pylist() == [as_server_compares(probe) in known for probe in probes]


def test_a_float4_is_compared_with_a_float8_by_its_exact_value() -> None:
    index = KeySet.build(pa.array([0.5, 0.1], pa.float64()))
    assert index.contains(pa.array([0.5, 0.1], pa.float32())).to_pylist() == [True, False]


@pytest.mark.parametrize(
    ("kind", "storage"),
    [
        (pa.date32(), pa.int32()),
        (pa.timestamp("us"), pa.int64()),
        (pa.timestamp("us", tz="UTC"), pa.int64()),
    ],
    ids=str,
)
def test_moments_and_their_infinities_are_found(kind: pa.DataType, storage: pa.DataType) -> None:
    last = 2 ** (storage.bit_width - 1) - 1
    numbers = pa.array([-last, -719_163, 0, 18_000, last], storage)
    index = KeySet.build(numbers.slice(0, 4).cast(kind))
    assert index.contains(numbers.cast(kind)).to_pylist() == [True] * 4 + [False]


def test_booleans_are_found() -> None:
    index = KeySet.build(pa.array([True, None]))
    assert index.contains(pa.array([True, False, None])).to_pylist() == [True, False, None]


@pytest.mark.parametrize(
    "kind", [pa.int32(), pa.int64(), pa.string(), pa.float64(), pa.date32(), pa.bool_()], ids=str
)
def test_an_empty_parent_holds_nothing(kind: pa.DataType) -> None:
    index = KeySet.build(pa.chunked_array([], kind))
    some = pa.array([1, None], pa.int32()).cast(kind)
    assert index.contains(some).to_pylist() == [False, None]
    assert index.contains(some.slice(2)).to_pylist() == []
    assert index.contains(pa.nulls(2)).to_pylist() == [None, None]
    assert KeySet.build(some.slice(1)).contains(some).to_pylist() == [False, None]


def test_what_can_t_be_compared_is_refused_and_not_absent() -> None:
    with pytest.raises(TypeError, match="string"):
        KeySet.build(pa.array([1, 2])).contains(pa.array(["1"]))
    with pytest.raises(TypeError, match="int64"):
        KeySet.build(pa.array(["1"])).contains(pa.array([1]))
    with pytest.raises(TypeError, match="time64"):
        KeySet.build(pa.array([1], pa.time64("us")))
    with pytest.raises(TypeError, match="timestamp"):
        KeySet.build(pa.array([1], pa.timestamp("s")))


def test_threads_share_an_index() -> None:
    texts = [f"MRN{number:09d}" for number in range(20_000)]
    index = KeySet.build(pa.array(texts[::2]))
    probes = pa.array(texts)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: index.contains(probes).to_pylist(), range(16)))
    assert found == [[True, False] * 10_000] * 16


PAIRS = st.lists(st.tuples(TEXT | st.none(), st.integers(0, 3) | INT64 | st.none()))


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()], ids=str)
def test_generated_keys_are_looked_up_like_in_a_dict(kind: pa.DataType) -> None:
    @settings(deadline=None)
    @given(PAIRS, st.lists(TEXT | st.none()), HASHES, st.data())
    def check(
        pairs: list[tuple[str | None, int | None]],
        others: list[str | None],
        hashing: Callable[[pa.Array], npt.NDArray[np.uint64]],
        data: st.DataObject,
    ) -> None:
        known: dict[str, set[object]] = {}
        given_keys = pa.array([key for key, _ in pairs], pa.string())
        given_values = pa.array([value for _, value in pairs], pa.int64()).cast(kind)
        for key, value in zip(given_keys.to_pylist(), given_values.to_pylist(), strict=True):
            if key is not None and value is not None:
                known.setdefault(key, set()).add(value)
        probes = data.draw(st.permutations([*others, *given_keys.to_pylist()]))
        values = pa.array(probes, pa.string())
        split = data.draw(st.integers(0, len(pairs)))
        index = KeyMap.build(
            pa.chunked_array([given_keys[:split], given_keys[split:]]), given_values, hashing
        )
        unique = {key: next(iter(found)) for key, found in known.items() if len(found) == 1}
        several = {key for key, found in known.items() if len(found) > 1}
        assert index.lookup(values).type == kind
        assert index.lookup(values).to_pylist() == [unique.get(probe) for probe in probes]
        assert index.ambiguous.contains(values).to_pylist() == [
            None if probe is None else probe in several for probe in probes
        ]

    check()


def test_generated_keys_are_text_on_the_source_s_side() -> None:
    with pytest.raises(TypeError, match="int64"):
        KeyMap.build(pa.array([1]), pa.array([2]))
    index = KeyMap.build(pa.array(["1"]), pa.array([2]))
    with pytest.raises(TypeError, match="int64"):
        index.lookup(pa.array([1]))
    assert index.lookup(pa.nulls(2)).to_pylist() == [None, None]


def test_a_generated_key_takes_its_text_its_hash_an_offset_and_its_target() -> None:
    texts = [f"MRN{number:012d}" for number in range(10_000)]
    index = KeyMap.build(pa.array(texts), pa.array(range(10_000)))
    assert index.nbytes == pytest.approx(10_000 * (15 + 8 + 4 + 8), rel=0.01)
