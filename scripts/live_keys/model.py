"""What may be decided at a moment: by the set of before or by the new one for as long as a change may
take, and by the new one from then on."""

import heapq


class Version:
    """What the file says, from `begin` (no reader can see it earlier) or at the latest from
    `complete` on. `decisions` has what each credential gets; None: the file is broken, or gone."""

    def __init__(self, number, begin, complete, decisions):
        self.number, self.begin, self.complete, self.decisions = number, begin, complete, decisions
        # When the next change began.
        self.replaced = float("inf")
        # From when on nothing may be decided by it.
        self.gone = float("inf")
        self.gone_by = None

    def is_possible(self, sent, answered):
        return self.begin <= answered and sent <= self.gone


class Model:
    def __init__(self, limit):
        self.limit = limit
        self.versions = []

    def change(self, begin, complete, decisions):
        if self.versions:
            self.versions[-1].replaced = begin
        self.versions.append(Version(len(self.versions), begin, complete, decisions))

    def settle(self):
        """A set is in force until one that came later, and was there for long enough to be seen, is."""
        good = [version for version in self.versions if version.decisions is not None]
        for index, version in enumerate(good):
            version.gone, version.gone_by = float("inf"), None
            for later in good[index + 1:]:
                if later.replaced >= later.complete + self.limit:
                    version.gone, version.gone_by = later.complete + self.limit, later
                    break
        return good

    def judge(self, seen):
        """The wrong ones among (credential, Answer), and the longest that a set of before was in force
        after a change, in seconds.

        A worker that has decided by a version decides by no earlier one from then on."""
        good = self.settle()
        wrong, longest = [], 0.0
        workers = {}
        for credential, answer in sorted(seen, key=lambda one: one[1].sent):
            worker = workers.setdefault(answer.worker, {"floor": 0, "answered": []})
            while worker["answered"] and worker["answered"][0][0] < answer.sent:
                worker["floor"] = max(worker["floor"], heapq.heappop(worker["answered"])[1])
            fitting = [
                version for version in good
                if version.number >= worker["floor"]
                and version.is_possible(answer.sent, answer.answered)
                and version.decisions[credential] == answer.decision
            ]
            if not fitting:
                wrong.append((credential, answer))
                continue
            heapq.heappush(worker["answered"], (answer.answered, fitting[0].number))
            newest = fitting[-1]
            if newest.gone_by is not None:
                longest = max(longest, answer.sent - newest.gone_by.complete)
        return wrong, longest

    def explain(self, credential, answer):
        """What is wrong, in words."""
        near = [
            f"{version.number}: {(version.decisions or {}).get(credential, 'broken')} "
            f"{answer.sent - version.begin:+.3f}/{answer.sent - version.complete:+.3f} s"
            for version in self.versions
            if version.begin <= answer.answered and version.replaced >= answer.sent - 2 * self.limit
        ]
        return (f"{credential} got {answer.decision!r} in worker {answer.worker}; "
                f"the file said (and so long before it was sent) " + "; ".join(near))
