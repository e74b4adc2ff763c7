"""Embeddings on disk: what is read is what was written, and what is torn or stale is not read at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spd_bench.errors import InputError
from spd_bench.training.embedding_cache import EmbeddingCache, weights_digest
from spd_bench.training.embedding_views import View, ViewChoice

SHAPE = (4, 3, 2)
SIZE = 5  # 25 pixels are no whole number of bytes
VIEW = View(case="case_0", number=1)
PLAIN = View(case="case_0", number=None)
CHOICE = ViewChoice(views=2, slices=9, gigabytes=0.5, wanted_views=4, wanted_gigabytes=1.5, allowed_gigabytes=1.0)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return make_cache(tmp_path, "a" * 64)


def make_cache(folder: Path, key: str) -> EmbeddingCache:
    return EmbeddingCache(folder / "embeddings", key=key, embedding_shape=SHAPE, resolution=SIZE)


def slices(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(count, *SHAPE, generator=generator)
    return embeddings, (torch.rand(count, SIZE, SIZE, generator=generator) > 0.5).float()


def chunks(embeddings: Tensor, masks: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    yield embeddings[:4], masks[:4]
    yield embeddings[4:], masks[4:]


def files(cache: EmbeddingCache) -> set[str]:
    return {path.name for path in cache.folder.rglob("*")}


def test_slices_of_a_view_are_read_as_they_were_written(cache: EmbeddingCache) -> None:
    written = {view: slices(7, seed) for seed, view in enumerate((VIEW, PLAIN))}
    for view, (embeddings, masks) in written.items():
        cache.write(view, 7, chunks(embeddings, masks))
    for view, (embeddings, masks) in written.items():
        found, found_masks = cache.read(view, [6, 0, 4])
        assert found.dtype == torch.float16
        torch.testing.assert_close(found.float(), embeddings[[6, 0, 4]], atol=0, rtol=2**-11)
        assert torch.equal(found_masks, masks[[6, 0, 4]])
        assert cache.holds(view, 7)


def test_the_files_take_what_is_announced(cache: EmbeddingCache) -> None:
    for count, view in ((2, VIEW), (12, PLAIN)):
        cache.write(view, count, [slices(count)])
    sizes = {view: sum(path.stat().st_size for path in cache.folder.glob(f"{view.name}*")) for view in (VIEW, PLAIN)}
    assert sizes[PLAIN] - sizes[VIEW] == 10 * cache.bytes_per_slice


@pytest.mark.parametrize("name", ["case_0_view_1.npy", "case_0_view_1_masks.npy"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:20]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"x" * path.stat().st_size),
        lambda path: path.unlink(),
        lambda path: np.save(path, np.zeros((7, 3), np.float32)),
    ],
    ids=["byte short", "header only", "empty", "garbage", "gone", "other array"],
)
def test_a_damaged_view_is_not_held(cache: EmbeddingCache, name: str, damage: Callable[[Path], None]) -> None:
    cache.write(VIEW, 7, [slices(7)])
    assert cache.holds(VIEW, 7)
    damage(cache.folder / name)
    assert not cache.holds(VIEW, 7)


def test_a_view_of_another_number_of_slices_is_not_held(cache: EmbeddingCache) -> None:
    cache.write(VIEW, 7, [slices(7)])
    assert not cache.holds(VIEW, 6)
    assert not cache.holds(VIEW, 8)
    assert not cache.holds(PLAIN, 7)


def test_what_stops_halfway_leaves_nothing(cache: EmbeddingCache) -> None:
    def interrupted() -> Iterator[tuple[Tensor, Tensor]]:
        yield slices(4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.write(VIEW, 7, interrupted())
    assert files(cache) == set()


def test_a_full_disk_is_an_input_error_and_leaves_nothing(cache: EmbeddingCache) -> None:
    def full() -> Iterator[tuple[Tensor, Tensor]]:
        yield slices(4)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match="No space left on device"):
        cache.write(VIEW, 7, full())
    assert files(cache) == set()


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path, cache: EmbeddingCache) -> None:
    (tmp_path / "embeddings").write_text("a file in its place")
    with pytest.raises(InputError, match="cannot be written"):
        cache.keep_choice(CHOICE)
    with pytest.raises(InputError, match="cannot be written"):
        cache.write(VIEW, 7, [slices(7)])


def test_another_key_finds_nothing_and_removes_it(tmp_path: Path, cache: EmbeddingCache) -> None:
    other = make_cache(tmp_path, "b" * 64)
    other.write(VIEW, 7, [slices(7)])
    other.keep_choice(CHOICE)
    assert not cache.holds(VIEW, 7)
    assert cache.choice() is None
    cache.write(PLAIN, 7, [slices(7)])
    cache.remove_others()
    assert not other.holds(VIEW, 7)
    assert cache.holds(PLAIN, 7)


def test_the_choice_outlives_the_process(tmp_path: Path, cache: EmbeddingCache) -> None:
    assert cache.choice() is None
    cache.keep_choice(CHOICE)
    assert make_cache(tmp_path, "a" * 64).choice() == CHOICE


def test_removing_a_cache_removes_its_folder_and_can_be_repeated(tmp_path: Path, cache: EmbeddingCache) -> None:
    cache.write(VIEW, 7, [slices(7)])
    cache.remove()
    assert list(tmp_path.iterdir()) == []
    cache.remove()


def test_every_weight_and_its_name_count_for_the_digest() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    digests = {weights_digest(module)}
    assert weights_digest(module) in digests
    for value in module.state_dict().values():
        value.view(-1)[-1] += 1
        digests.add(weights_digest(module))
    assert len(digests) == 1 + len(module.state_dict())
    assert weights_digest(nn.Sequential(nn.Identity(), *module)) not in digests
