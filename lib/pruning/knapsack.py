"""A greedy knapsack with one choice a group, whose costs depend on what the neighbours chose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.pruning.costs import Cost


@dataclass(frozen=True)
class Choice:
    """The levels of one group: numbers of channels, rising, and what each is worth.

    least, most: the places of the smallest and the largest level that may be chosen. needs: by the place of another group, how
    many channels that one must keep for each number of channels (0, 1, ...) that this one keeps.
    """

    levels: tuple[int, ...]
    worths: tuple[float, ...]
    least: int
    most: int
    needs: Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class _Move:
    """To a level, the worth that changes hands, and the cost."""

    level: int
    worth: float
    cost: float

    @property
    def rate(self) -> float:
        """Worth for cost; without end where it costs nothing."""
        return self.worth / self.cost if self.cost > 0.0 else float("inf")


class Knapsack:
    """The state of the choice: the place of a level for each group, first the largest."""

    def __init__(self, choices: Sequence[Choice], cost: Cost, jump: int) -> None:
        """jump: how many levels a group may move at once."""
        self.choices, self.jump = choices, jump
        self.at = [choice.most for choice in choices]
        self.counts = [choice.levels[choice.most] for choice in choices]
        self.cost = cost
        self.total = cost(self.counts)
        self.terms = [[term for term in cost.terms if place in term.groups] for place in range(len(choices))]
        self.near = [self._near(place) for place in range(len(choices))]

    def empty_to(self, budget: float) -> bool:
        """Take away what loses the least worth for the cost saved until the budget is met; whether it could be."""
        moves = [self._cheapest(place) for place in range(len(self.choices))]
        while self.total > budget:
            open_ = [(move.rate, place) for place, move in enumerate(moves) if move is not None]
            if not open_:
                return False
            _, place = min(open_)
            self._go(place, moves[place])
            for other in self.near[place]:
                moves[other] = self._cheapest(other)
        return True

    def fill_to(self, budget: float) -> None:
        """Give back what is worth most for its cost and still fits."""
        while True:
            moves = [self._dearest(place, budget - self.total) for place in range(len(self.choices))]
            open_ = [(-move.rate, place) for place, move in enumerate(moves) if move is not None]
            if not open_:
                return
            _, place = min(open_)
            self._go(place, moves[place])

    def _cheapest(self, place: int) -> _Move | None:
        """The lower level of a group that loses the least worth for the cost saved; None where none saves any."""
        choice, now = self.choices[place], self.at[place]
        lowest = max(choice.least, now - self.jump)
        moves = [self._move(place, level) for level in range(now - 1, lowest - 1, -1) if self._may(place, level)]
        saving = [_Move(move.level, -move.worth, -move.cost) for move in moves if move.cost < 0.0]
        return min(saving, key=lambda move: move.rate, default=None)

    def _dearest(self, place: int, room: float) -> _Move | None:
        """The higher level of a group that is worth most for its cost and fits."""
        choice, now = self.choices[place], self.at[place]
        highest = min(choice.most, now + self.jump)
        moves = [self._move(place, level) for level in range(now + 1, highest + 1) if self._may(place, level)]
        fitting = [move for move in moves if move.cost <= room and move.worth > 0.0]
        return max(fitting, key=lambda move: move.rate, default=None)

    def _move(self, place: int, level: int) -> _Move:
        choice, before = self.choices[place], self.counts[place]
        worth = choice.worths[level] - choice.worths[self.at[place]]
        now = sum(term(self.counts) for term in self.terms[place])
        self.counts[place] = choice.levels[level]
        then = sum(term(self.counts) for term in self.terms[place])
        self.counts[place] = before
        return _Move(level, worth, then - now)

    def _may(self, place: int, level: int) -> bool:
        """Whether what shortcuts carry stays where it arrives."""
        count = self.choices[place].levels[level]
        if any(self.counts[target] < needs[count] for target, needs in self.choices[place].needs.items()):
            return False
        sources = (
            (self.counts[source], other.needs[place]) for source, other in enumerate(self.choices) if place in other.needs
        )
        return all(count >= needs[kept] for kept, needs in sources)

    def _go(self, place: int, move: _Move | None) -> None:
        assert move is not None
        self.at[place] = move.level
        self.counts[place] = self.choices[place].levels[move.level]
        self.total = self.cost(self.counts)

    def _near(self, place: int) -> set[int]:
        """The groups whose moves change with one group's."""
        found = {place, *self.choices[place].needs}
        found |= {source for source, other in enumerate(self.choices) if place in other.needs}
        return found.union(*(term.groups for term in self.terms[place]))
