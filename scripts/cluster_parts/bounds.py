"""How much may be let in over all nodes, and how much was: docs/testing/cluster.md has the same as a formula. Nothing here opens a
connection, or looks at a clock."""

import dataclasses

# crates/tollgate-core/src/cluster/times.rs, in seconds.
LIFE, DEAD, LOST, HEARTBEAT, IDLE, SILENT = 3.0, 5.0, 1.0, 1.0, 10.0, 2.0
ROUNDS = 2
# What a node that is without the store for less has not noticed, if it has something to say.
UNNOTICED = LOST / 2


def call_timeout(exchange):
    return min(max(4 * exchange, 0.25), DEAD - LIFE)


def longest_wait(exchange, is_away=False):
    """For how long a request waits for the store at most, and if that is away."""
    return max(ROUNDS * exchange + call_timeout(exchange), LOST if is_away else 0.0)


@dataclasses.dataclass(frozen=True)
class Limit:
    """`rate` in a second; a budget has none within its period. `slots`: the limit is on requests in flight."""

    capacity: int
    rate: float = 0.0
    slots: bool = False


@dataclasses.dataclass(frozen=True)
class Outage:
    """`node` was without the store; `is_away`: for so long that the store takes it for dead."""

    node: int
    begin: float
    end: float

    @property
    def length(self):
        return self.end - self.begin


@dataclasses.dataclass
class Course:
    """What has happened: from which node the store was away, and how often its data were lost."""

    on_loss: str
    nodes: int
    outages: list = dataclasses.field(default_factory=list)
    losses: int = 0


def alone(limit, course, outage):
    """What a node gives away by itself during one outage, beside what it has leased."""
    if outage.length < UNNOTICED or course.on_loss == "deny":
        return 0.0
    if limit.slots:
        return limit.capacity // course.nodes if course.on_loss == "share" else limit.capacity
    whole = limit.capacity + limit.rate * outage.length
    return whole / course.nodes if course.on_loss == "share" else whole


def bound(limit, course):
    """What may be let in beyond `rate` x time, over any interval; of slots, what may be in flight at once."""
    most = limit.capacity
    for outage in course.outages:
        most += alone(limit, course, outage)
        # The store gives away anew what a node holds that it takes for dead, and streams go on.
        if limit.slots and outage.length >= LIFE:
            most += limit.capacity
    # Of what was leased just then nothing is known any more.
    return most + course.losses * limit.capacity


@dataclasses.dataclass(frozen=True)
class Admitted:
    """It was let in between these two moments. Of a stream: it was in flight all the time between them."""

    begin: float
    end: float
    amount: int = 1


def excess(admissions, rate):
    """The most of any interval that was let in, less what comes in by `rate` meanwhile. It counts what began and
    ended in the interval: that was surely let in there."""
    most = 0.0
    by_end = sorted(admissions, key=lambda one: one.end)
    for start in {one.begin for one in admissions}:
        total = 0
        for one in by_end:
            if one.begin >= start:
                total += one.amount
                most = max(most, total - rate * (one.end - start))
    return most


def in_flight(streams):
    """The most that were surely in flight at once."""
    steps = sorted([(one.begin, 1) for one in streams if one.begin < one.end]
                   + [(one.end, -1) for one in streams if one.begin < one.end])
    count = most = 0
    for _, step in steps:
        count += step
        most = max(most, count)
    return most


def reached(limit, admissions):
    return in_flight(admissions) if limit.slots else excess(admissions, limit.rate)


def self_test():
    """Plants what must be found."""
    bucket, slots = Limit(10, 5.0), Limit(2, slots=True)
    course = Course("share", 3)
    good = [Admitted(t, t + 0.01) for t in [0.0] * 10 + [0.2 * step + 0.21 for step in range(20)]]
    assert reached(bucket, good) <= bound(bucket, course), "what is within the limit is not found wanting"
    assert reached(bucket, good + [Admitted(1.0, 1.01)] * 2) > bound(bucket, course), "two more are"
    assert reached(bucket, [Admitted(0, 9)] * 55) == 55 - 45, "what is known roughly counts roughly"
    assert reached(slots, [Admitted(0, 2), Admitted(1, 3), Admitted(2, 4)]) == 2
    assert reached(slots, [Admitted(0, 2), Admitted(1, 3), Admitted(1.5, 4)]) == 3 > bound(slots, course)
    course.outages.append(Outage(1, 0.0, 2.0))
    assert bound(bucket, course) == 10 + (10 + 10) / 3 and bound(slots, course) == 2
    course.on_loss = "local"
    assert bound(bucket, course) == 30 and bound(slots, course) == 4
    course.on_loss = "deny"
    assert bound(bucket, course) == 10
    course.losses = 1
    assert bound(bucket, course) == 20
    assert abs(longest_wait(0.05) - 0.35) < 1e-9
    assert longest_wait(0.05, is_away=True) == LOST


if __name__ == "__main__":
    self_test()
