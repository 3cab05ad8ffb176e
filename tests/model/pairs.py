#!/usr/bin/env python3
"""Pairs of states from random schedules of sync_model.py, and what the model makes of them; one JSON object a line.

usage: pairs.py COUNT [SEED]
"""
import json, random, sys
from sync_model import FOLDERS, World, hints, assign, join, merge

def plain(s):
    return {'vv': s.vv, 'locs': [[f, g, sorted(d)] for (f, g), d in sorted(s.locs.items())],
            'flags': s.flags, 'next': s.next, 'uid': s.uid}

def pairs(seed):
    """Two states of a schedule after every few steps; replicas that were restored are among them."""
    rnd = random.Random(seed)
    w = World(rnd.randint(2, 5), seed, rule=rnd.choice(('burn', 'burn', 'lazy')), restore=rnd.choice((None, None, 'clock')))
    for _ in range(rnd.randint(10, 80)):
        for _ in range(rnd.randint(1, 8)): w.step()
        yield rnd.sample(w.s, 2)

def main():
    count = int(sys.argv[1]); seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    while count:
        for a, b in pairs(seed):
            listed = merge(a, b, 'lazy')
            given = sum(assign(listed, f, {}) for f in FOLDERS)
            print(json.dumps({'seed': seed, 'a': plain(a), 'b': plain(b), 'join': plain(join(a, b)), 'eager': plain(merge(a, b)),
                              'lazy': plain(merge(a, b, 'lazy')), 'listed': plain(listed), 'given': given}))
            count -= 1
            if not count: return
        seed += 1

if __name__ == '__main__': main()
