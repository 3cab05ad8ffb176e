#!/usr/bin/env python3
"""Schedules: what happens on a few replicas, and what sync_model.py makes of it. A JSON object for each, one a line.

A step is something that somebody does to the files of one replica, or one replica that takes up what another knows; after that
comes what must be in the folders of both: UIDNEXT, and UID, base name and flags of each mail. Between two looks at a
replica nobody does two things to one mail there, for then the model, which sees each of them, would know more.

usage: schedules.py FIRST COUNT STEPS
"""
import hashlib, json, random, sys
from sync_model import FOLDERS, St, merge

class Schedule:
    def __init__(w, seed, steps):
        w.rnd = random.Random(seed); w.n = w.rnd.randint(2, 5); w.s = [St() for _ in range(w.n)]
        w.touched = [set() for _ in range(w.n)]; w.base = {}; w.out = []
        for _ in range(steps): w.step()
        for _ in range(1):                                       # all meet
            ids = list(range(w.n)); w.rnd.shuffle(ids)
            for i in ids[1:]: w.pull(ids[0], i)
            for i in ids[1:]: w.pull(i, ids[0])
        w.out[-1]['expect'] = {str(i): w.plain(i) for i in range(w.n)}
    def dot(w, i):
        r, s = 'r%d' % i, w.s[i]; s.vv[r] = s.vv.get(r, 0) + 1; return (r, s.vv[r])
    def add(w, i, f, g):
        s = w.s[i]; s.locs[(f, g)] = {w.dot(i)}; s.flags.setdefault(g, {}); s.uid[f][s.next[f]] = g; s.next[f] += 1
    def rem(w, i, f, g):
        s = w.s[i]; del s.locs[(f, g)]; s.uid[f] = {u: x for u, x in s.uid[f].items() if x != g}; w.dot(i)
        if not any(x == g for (_, x) in s.locs): s.flags.pop(g)
    def letters(w, i, g): return ''.join(sorted(c for c, n in w.s[i].flags[g].items() if n % 2))
    def plain(w, i):
        return {f: {'next': w.s[i].next[f], 'uids': [[u, w.base[g], w.letters(i, g)] for u, g in sorted(w.s[i].uid[f].items())]} for f in FOLDERS}
    def pull(w, i, j):
        w.s[i] = merge(w.s[i], w.s[j]); w.touched[i] = set(); w.touched[j] = set()
        w.out.append({'op': 'pull', 'r': i, 'from': j, 'expect': {str(i): w.plain(i), str(j): w.plain(j)}})
    def step(w):
        r = w.rnd; i = r.randrange(w.n); s = w.s[i]; x = r.random()
        if x < .30:
            n = len(w.base) + 1; base = '17%08d.m%d.r%d' % (n, n, i); text = 'Subject: mail %d\n\nhello\n' % n
            g = hashlib.sha256(base.encode() + b'\0' + text.encode()).hexdigest()[:32]; w.base[g] = base
            w.add(i, FOLDERS[0], g); w.touched[i].add(g)
            w.out.append({'op': 'deliver', 'r': i, 'folder': FOLDERS[0], 'base': base, 'text': text}); return
        if x >= .72:
            j = r.choice([j for j in range(w.n) if j != i]); w.pull(i, j)
            if r.random() < .5: w.pull(j, i)
            return
        free = sorted(k for k in s.locs if k[1] not in w.touched[i])
        if not free: return
        f, g = r.choice(free); w.touched[i].add(g); step = {'r': i, 'folder': f, 'base': w.base[g]}
        if x < .54:
            c = r.choice('SRFTSRD'); n = s.flags[g][c] = s.flags[g].get(c, 0) + 1; w.dot(i)
            if (c, n % 2) in (('F', 1), ('T', 0)):               # says that it is to be kept
                for k in s.locs:
                    if k[1] == g: s.locs[k] = {w.dot(i)}
            w.out.append({'op': 'flag', 'letters': w.letters(i, g), **step})
        elif x < .63: w.rem(i, f, g); w.out.append({'op': 'expunge', **step})
        else:
            to = FOLDERS[1 - FOLDERS.index(f)]
            if (to, g) in s.locs: return
            w.add(i, to, g); w.rem(i, f, g); w.out.append({'op': 'move', 'to': to, **step})

if __name__ == '__main__':
    first, count, steps = map(int, sys.argv[1:4])
    for seed in range(first, first + count):
        w = Schedule(seed, steps); print(json.dumps({'seed': seed, 'replicas': w.n, 'steps': w.out}))
