"""What the distillation losses do not see, and the bounds they keep (nggm_hap, checks of section 8.3)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lib.distillation.similarity import attended, attention, energy, resized, same_size, similarity
from lib.distillation.terms import afd, at, hap, lsp2, mat, sp


def features(seed: int, batch: int, channels: int, size: int) -> torch.Tensor:
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 5), st.integers(1, 6))
def test_hap_lies_between_zero_and_two_over_the_batch_size(seed: int, batch: int, channels: int, size: int) -> None:
    student = attended([features(seed, batch, channels, size), features(seed + 1, batch, 2, 3)])
    value = float(hap.preserving(student, attended([features(seed + 2, batch, 4, 5)])))
    assert 0.0 <= value <= 2.0 / batch + 1e-12


def test_hap_of_the_same_features_is_zero_and_sees_neither_scale_of_an_image_nor_order_of_channels() -> None:
    mine, theirs = features(0, 6, 4, 5), features(1, 6, 3, 2)
    other = mine[:, torch.tensor([2, 0, 3, 1])] * torch.linspace(0.1, 9.0, 6, dtype=torch.float64).view(6, 1, 1, 1)
    target = attended([theirs])
    assert float(hap.preserving(target, target)) == 0.0
    assert float(hap.preserving(attended([mine]), target)) == pytest.approx(float(hap.preserving(attended([other]), target)))


def test_sp_does_not_see_an_orthogonal_mixing_of_channels() -> None:
    mine, theirs = features(0, 5, 6, 3), features(1, 5, 4, 2)
    rotation = torch.linalg.qr(features(2, 1, 1, 6)[0, 0]).Q
    mixed = torch.einsum("bchw,dc->bdhw", mine, rotation)
    assert float(sp.preserving(mixed, theirs)) == pytest.approx(float(sp.preserving(mine, theirs)))


def test_at_does_not_see_the_scale_of_an_image() -> None:
    mine, theirs = features(0, 5, 6, 3), features(1, 5, 4, 3)
    scales = torch.linspace(0.5, 4.0, 5, dtype=torch.float64).view(5, 1, 1, 1)
    assert float(at.transfer(mine * scales, theirs)) == pytest.approx(float(at.transfer(mine, theirs)))


@pytest.mark.parametrize(("student", "teacher"), [(8, 4), (4, 8)])
def test_at_pools_the_larger_map_before_it_squares(student: int, teacher: int) -> None:
    mine, theirs = features(0, 3, 2, student), features(1, 3, 5, teacher)
    pooled = [torch.nn.functional.avg_pool2d(one, one.shape[2] // 4) for one in (mine, theirs)]
    expected = (attention(pooled[0]) - attention(pooled[1])).square().mean()
    assert float(at.transfer(mine, theirs)) == pytest.approx(float(expected))
    assert [tuple(one.shape[2:]) for one in same_size(mine, theirs)] == [(4, 4), (4, 4)]


def test_attention_and_similarity_of_nothing_are_finite() -> None:
    nothing = torch.zeros(3, 2, 4, 4, requires_grad=True)
    similarity(attention(nothing)).sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.isfinite().all()


def test_afd_of_one_identical_map_is_zero_and_shares_sum_to_one() -> None:
    mine = features(0, 6, 4, 5).float()
    made = afd.Attention([4], [4], 8)
    assert float(made([mine], [mine]).detach()) == pytest.approx(0.0, abs=1e-8)
    several = afd.Attention([4, 4], [4], 8).logits([mine, features(1, 6, 4, 3).float()], [mine])
    assert torch.softmax(several, dim=2).sum(2).detach() == pytest.approx(1.0)


def test_windows_of_lsp2_follow_the_student_and_are_cut_at_the_end() -> None:
    spans = [list(range(9))[lsp2.around(block, 4)] for block in range(9)]
    assert spans[0] == [0, 1, 2, 3]
    assert spans[1] == [0, 1, 2, 3]
    assert spans[4] == [3, 4, 5, 6]
    assert spans[8] == [7, 8]
    assert list(range(9))[lsp2.around(3, None)] == list(range(9))


def test_mat_counts_the_block_that_agrees_most_and_its_weights_carry_no_gradient() -> None:
    student = features(0, 4, 3, 4).requires_grad_()
    near, far = student.detach() + 0.01 * features(1, 4, 3, 4), features(2, 4, 5, 2)
    values = [float(mat.matching(student, [one]).detach()) for one in (near, far)]
    mean = sum(values) / 2
    shares = torch.softmax(-torch.tensor(values, dtype=torch.float64) / mean, dim=0)
    expected = float((shares * torch.tensor(values, dtype=torch.float64)).mean())
    assert float(mat.matching(student, [near, far]).detach()) == pytest.approx(expected)
    assert shares[0] > shares[1]
    (got,) = torch.autograd.grad(mat.matching(student, [near, far]), student)
    parts = [torch.autograd.grad(mat.matching(student, [one]), student)[0] for one in (near, far)]
    assert torch.allclose(got, (shares[0] * parts[0] + shares[1] * parts[1]) / 2)


def test_energy_has_the_values_and_the_gradient_of_the_mean_square() -> None:
    mine = features(0, 3, 4, 5).requires_grad_()
    assert torch.allclose(energy(mine), mine.square().mean(1))
    assert torch.autograd.gradcheck(energy, (mine,))
    low = mine.detach().bfloat16().requires_grad_()
    assert energy(low).dtype is torch.float32
    assert torch.allclose(energy(low), low.float().square().mean(1), rtol=1e-5)
    energy(low).sum().backward()
    assert low.grad is not None
    assert torch.allclose(low.grad.float(), low.detach().float() * 2 / 4, rtol=2e-2)


def test_afd_compares_as_pair_by_pair() -> None:
    mine = [features(seed, 3, 4, size) for seed, size in ((0, 4), (1, 2))]
    theirs = [features(seed, 3, 5, size) for seed, size in ((2, 2), (3, 4), (4, 2))]
    found = afd.apart(mine, theirs)
    for t, goal in enumerate(theirs):
        for s, feature in enumerate(mine):
            pooled = functional.adaptive_avg_pool2d(feature.square().mean(1, keepdim=True), goal.shape[2:]).flatten(1)
            expected = (functional.normalize(pooled, dim=1) - attention(goal)).square().mean(1)
            assert torch.allclose(found[:, t, s], expected)


@pytest.mark.parametrize(("size", "wanted"), [(8, 4), (7, 3), (3, 7), (5, 4), (4, 4), (1, 3)])
def test_resizing_is_adaptive_average_pooling(size: int, wanted: int) -> None:
    mine, like = features(0, 2, 3, size), torch.zeros(1, 1, wanted, wanted)
    assert torch.allclose(resized(mine, like), functional.adaptive_avg_pool2d(mine, wanted))
    assert resized(mine.bfloat16(), torch.zeros(1, 1, 9, 9)).dtype is torch.float32
