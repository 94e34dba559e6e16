# Replays which experts a run asked for (`dsv4 run --routes`) through caches of any size, without a model: the share of requests that hit.
"""usage: expert_cache_simulator.py TRACE [--experts N] [--prompt N] [--slots N,N | --shares 10,20,40,60,80]

TRACE has a line `layer expert expert ...` for every token and layer. The first --prompt tokens are one call, as in a run; hits are those of the tokens behind it.
Prints a table: the policy of `--weights stream` (a frequency that halves every 32 tokens, one pool over all layers), least recently used, and the best that is possible
for one who knows the future. Shares no code with the cache: frequencies are kept as such, and victims are looked for among all.
"""

import argparse
import collections
import math
import sys
from pathlib import Path

import bench

HALF_LIFE = 32  # tokens


def read_trace(path):
    """Tokens of layers of experts. A token begins where the layer's number is not larger than that of the line before."""
    tokens, before = [], math.inf
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        try:
            layer, *experts = map(int, line.split())
        except ValueError:
            sys.exit(f"{path}:{number}: expected a layer and its experts, found {line[:60]!r}")
        if layer <= before:
            tokens.append([])
        tokens[-1].append((layer, experts))
        before = layer
    if not tokens:
        sys.exit(f"{path}: there is no line in it")
    return tokens


def calls_of(tokens, prompt):
    """(is decoding, [(layer, expert), ...], uses) of one layer of one call after another; `uses` says how many tokens of the call take each of them."""
    if prompt > 0:
        for place in range(len(tokens[0])):
            uses = collections.Counter((token[place][0], expert) for token in tokens[:prompt] for expert in token[place][1])
            yield False, sorted(uses), uses
    for token in tokens[prompt:]:
        for layer, experts in token:
            wanted = [(layer, expert) for expert in experts]
            yield True, wanted, collections.Counter(wanted)


class Frequency:
    """Counts that halve every 32 tokens."""

    def __init__(self, slots, requests_a_token):
        self.slots, self.decay = slots, 0.5 ** (1.0 / (HALF_LIFE * requests_a_token))
        self.clock, self.count, self.resident = 0, {}, set()

    def now(self, key):
        count, when = self.count.get(key, (0.0, self.clock))
        return count * self.decay ** (self.clock - when)

    def call(self, decoding, wanted, uses):
        """How many of them hit; residents that the call needs itself are no victims."""
        hits = 0
        pinned = {key for key in wanted if key in self.resident} if decoding else set()
        for key in wanted:
            self.clock += uses[key]
            self.count[key] = (self.now(key) + uses[key], self.clock)
            if key in self.resident:
                hits += 1
                continue
            if len(self.resident) >= self.slots:
                others = self.resident - pinned
                if not others:
                    continue
                victim = min(others, key=lambda other: (self.now(other), other))
                if not decoding and self.now(victim) > self.now(key):
                    continue  # a prompt asks for nearly all experts: one of little use passes through
                self.resident.discard(victim)
            self.resident.add(key)
            if decoding:
                pinned.add(key)
        return hits


class LeastRecentlyUsed:
    def __init__(self, slots, _):
        self.slots, self.order = slots, collections.OrderedDict()

    def call(self, decoding, wanted, uses):
        hits = 0
        for key in wanted:
            if key in self.order:
                hits += 1
                self.order.move_to_end(key)
                continue
            if len(self.order) >= self.slots:
                self.order.popitem(last=False)
            self.order[key] = True
        return hits


class Future:
    """Belady's: what is used latest goes, what is used later than all that are there does not come in."""

    def __init__(self, slots, calls):
        self.slots, self.clock, self.next_use = slots, 0, {}
        self.uses = collections.defaultdict(collections.deque)
        for number, (_, wanted, _) in enumerate(calls):
            for key in wanted:
                self.uses[key].append(number)

    def call(self, decoding, wanted, uses):
        hits = 0
        for key in wanted:
            self.uses[key].popleft()
            following = self.uses[key][0] if self.uses[key] else math.inf
            if key in self.next_use:
                hits += 1
            elif len(self.next_use) >= self.slots:
                victim = max(self.next_use, key=lambda other: self.next_use[other])
                if self.next_use[victim] <= following:
                    continue
                del self.next_use[victim]
            self.next_use[key] = following
        return hits


def hit_share(policy, calls):
    """Of the requests of the tokens behind the prompt."""
    hits = requests = 0
    for decoding, wanted, uses in calls:
        found = policy.call(decoding, wanted, uses)
        if decoding:
            hits += found
            requests += len(wanted)
    return hits / requests if requests else 0.0


def simulate(tokens, prompt, slots):
    """Hits of the policies by name."""
    calls = list(calls_of(tokens, prompt))
    requests = sum(len(experts) for _, experts in tokens[-1])
    return {"frequency": hit_share(Frequency(slots, requests), calls), "least recently used": hit_share(LeastRecentlyUsed(slots, requests), calls),
            "best possible": hit_share(Future(slots, calls), calls)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trace")
    parser.add_argument("--experts", type=int, help="of a layer; by default as many as the trace names")
    parser.add_argument("--prompt", type=int, default=0)
    parser.add_argument("--slots", help="sizes of the cache, experts")
    parser.add_argument("--shares", default="10,20,40,60,80", help="sizes of the cache, percent of all experts")
    arguments = parser.parse_args()
    tokens = read_trace(arguments.trace)
    if not 0 <= arguments.prompt < len(tokens):
        parser.error(f"--prompt: the trace has {len(tokens)} tokens, and some have to follow the prompt")
    a_layer = arguments.experts or 1 + max(expert for token in tokens for _, experts in token for expert in experts)
    everything = a_layer * len(tokens[0])
    sizes = ([int(size) for size in arguments.slots.split(",")] if arguments.slots
             else [max(1, everything * int(share) // 100) for share in arguments.shares.split(",")])
    rows = []
    for slots in sizes:
        hits = simulate(tokens, arguments.prompt, slots)
        rows.append([slots, f"{100 * slots / everything:.0f} %", *(f"{100 * share:.1f} %" for share in hits.values())])
    print(bench.table(f"{len(tokens)} tokens, the first {arguments.prompt} a prompt; {len(tokens[0])} layers of {a_layer} experts. Requests that hit.",
                      ["slots", "share of all", *hits], rows))


if __name__ == "__main__":
    main()
