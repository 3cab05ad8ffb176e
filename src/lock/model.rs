//! The protocol as a model, and every interleaving of three contenders: no two holders, no two at work. A rule that is
//! left out must show.
//!
//! Each contender looks, waits, takes over from the dead, makes the lockfile in either way, holds, lets go, breaks, or dies,
//! one system call at a time; a wrapper can die and leave the lock to its command; nested verbs come with the id of a
//! lock that somebody holds, and may come late.

use std::collections::{HashMap, VecDeque};

const CONTENDERS: usize = 3;

/// What the protocol asks for. All, or two meet.
#[derive(Clone, Copy)]
struct Rules {
    /// Who got the flock of a lockfile looks whether the name still stands for it before removing the name.
    look_before_removal: bool,
    /// Who made the lockfile in place looks, once it has the flock, whether the name still stands for it.
    look_in_place: bool,
    /// A new holder takes and drops `maildex.inner` before it works.
    gate: bool,
    /// A nested verb looks, once it has `maildex.inner`, whether the lock is still held.
    look_nested: bool,
}

const ALL: Rules = Rules { look_before_removal: true, look_in_place: true, gate: true, look_nested: true };

/// What a contender wants the lock for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Aim {
    Work,
    /// To hold it for others.
    Run,
    /// Only to remove a dead one's file.
    Break,
}

/// What a contender has just done; the number is the inode that it is about, and of a nested verb the lock's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    /// Nothing yet, or it has ended and another process is in its place.
    Start,
    Look(Aim),
    /// It has opened the lockfile, without its flock.
    Opened(Aim, u8),
    /// It has the flock of a file that was open.
    Flocked(Aim, u8),
    MayRemove(Aim, u8),
    Removed(Aim, u8),
    /// The name was free.
    Free(Aim),
    /// It has made a file without a name, and its flock.
    Made(Aim, u8),
    /// It has made the file under its name.
    InPlace(Aim, u8),
    InPlaceFlocked(Aim, u8),
    /// It has the lock, and waits for nested verbs of an earlier one.
    Gate(Aim, u8),
    GateTaken(Aim, u8),
    Works(u8),
    /// It holds the lock for others.
    Runs(u8),
    /// The wrapper is dead, the command has its lock.
    Heir(u8),
    MayRelease(u8),
    Released(u8),
    Nested(u8),
    /// It has the flock of `maildex.inner`.
    NestedTaken(u8),
    NestedWorks(u8),
}

use At::*;

impl At {
    fn inode(self) -> Option<u8> {
        match self {
            Start | Look(_) | Free(_) => None,
            Opened(_, n)
            | Flocked(_, n)
            | MayRemove(_, n)
            | Removed(_, n)
            | Made(_, n)
            | InPlace(_, n)
            | InPlaceFlocked(_, n)
            | Gate(_, n)
            | GateTaken(_, n)
            | Works(n)
            | Runs(n)
            | Heir(n)
            | MayRelease(n)
            | Released(n)
            | Nested(n)
            | NestedTaken(n)
            | NestedWorks(n) => Some(n),
        }
    }

    fn with_inode(self, new: u8) -> At {
        match self {
            Start | Look(_) | Free(_) => self,
            Opened(aim, _) => Opened(aim, new),
            Flocked(aim, _) => Flocked(aim, new),
            MayRemove(aim, _) => MayRemove(aim, new),
            Removed(aim, _) => Removed(aim, new),
            Made(aim, _) => Made(aim, new),
            InPlace(aim, _) => InPlace(aim, new),
            InPlaceFlocked(aim, _) => InPlaceFlocked(aim, new),
            Gate(aim, _) => Gate(aim, new),
            GateTaken(aim, _) => GateTaken(aim, new),
            Works(_) => Works(new),
            Runs(_) => Runs(new),
            Heir(_) => Heir(new),
            MayRelease(_) => MayRelease(new),
            Released(_) => Released(new),
            Nested(_) => Nested(new),
            NestedTaken(_) => NestedTaken(new),
            NestedWorks(_) => NestedWorks(new),
        }
    }

    fn has_flock(self) -> bool {
        !matches!(self, Opened(..) | InPlace(..) | Nested(_) | NestedTaken(_) | NestedWorks(_))
            && self.inode().is_some()
    }

    fn has_inner(self) -> bool {
        matches!(self, GateTaken(..) | NestedTaken(_) | NestedWorks(_))
    }

    fn holds(self) -> bool {
        matches!(self, Gate(..) | GateTaken(..) | Works(_) | Runs(_) | Heir(_))
    }

    fn works(self) -> bool {
        matches!(self, Works(_) | NestedWorks(_))
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    /// The inode that the name stands for.
    name: Option<u8>,
    at: [At; CONTENDERS],
}

impl World {
    fn is_flocked(&self, inode: u8) -> bool {
        self.at.iter().any(|at| at.has_flock() && at.inode() == Some(inode))
    }

    fn is_inner_free(&self) -> bool {
        !self.at.iter().any(|at| at.has_inner())
    }

    /// An inode that nobody has met.
    fn fresh(&self) -> u8 {
        let used = |n: &u8| self.name == Some(*n) || self.at.iter().any(|at| at.inode() == Some(*n));
        (0..=u8::MAX).find(|n| !used(n)).expect("fewer inodes than numbers")
    }

    fn with(&self, who: usize, at: At) -> World {
        let mut world = self.clone();
        world.at[who] = at;
        world
    }

    fn named(mut self, name: Option<u8>) -> World {
        self.name = name;
        self
    }

    /// The same with inodes numbered in the order in which they are met, so that equal worlds are equal.
    fn canonical(&self) -> World {
        let mut numbers: Vec<u8> = Vec::new();
        let mut number = |inode: u8| {
            let at = numbers.iter().position(|known| *known == inode).unwrap_or_else(|| {
                numbers.push(inode);
                numbers.len() - 1
            });
            at as u8
        };
        let name = self.name.map(&mut number);
        let at = self.at.map(|at| at.inode().map_or(at, |inode| at.with_inode(number(inode))));
        World { name, at }
    }

    /// Every step that one contender can do now.
    #[allow(clippy::match_same_arms)] // an arm for each step is easier to compare with the code
    fn steps(&self, who: usize, rules: Rules) -> Vec<World> {
        let go = |at| self.with(who, at);
        // Whoever is killed lets go of all that it has open.
        let mut next = vec![go(Start)];
        match self.at[who] {
            Start => {
                next.extend([Aim::Work, Aim::Run, Aim::Break].map(|aim| go(Look(aim))));
                let ids = self.at.iter().filter_map(|at| if let Runs(id) | Heir(id) = at { Some(*id) } else { None });
                next.extend(ids.map(|id| go(Nested(id))));
            }
            Look(aim) => next.push(match self.name {
                Some(inode) => go(Opened(aim, inode)),
                None if aim == Aim::Break => go(Start),
                None => go(Free(aim)),
            }),
            // Blocks in flock; to give up is like dying.
            Opened(aim, inode) if !self.is_flocked(inode) => next.push(go(Flocked(aim, inode))),
            Opened(..) => {}
            Flocked(aim, inode) if !rules.look_before_removal || self.name == Some(inode) => {
                next.push(go(MayRemove(aim, inode)));
            }
            Flocked(aim, _) => next.push(go(Look(aim))),
            MayRemove(aim, inode) => next.push(go(Removed(aim, inode)).named(None)),
            Removed(Aim::Break, _) => next.push(go(Start)),
            Removed(aim, _) => next.push(go(Look(aim))),
            Free(aim) => {
                next.push(go(Made(aim, self.fresh())));
                if self.name.is_none() {
                    let inode = self.fresh();
                    next.push(go(InPlace(aim, inode)).named(Some(inode)));
                } else {
                    next.push(go(Look(aim)));
                }
            }
            Made(aim, inode) => next.push(match self.name {
                None => go(Gate(aim, inode)).named(Some(inode)),
                Some(_) => go(Look(aim)),
            }),
            InPlace(aim, inode) if self.is_flocked(inode) => next.push(go(Look(aim))),
            InPlace(aim, inode) => next.push(go(InPlaceFlocked(aim, inode))),
            InPlaceFlocked(aim, inode) if !rules.look_in_place || self.name == Some(inode) => {
                next.push(go(Gate(aim, inode)));
            }
            InPlaceFlocked(aim, _) => next.push(go(Look(aim))),
            Gate(aim, inode) if !rules.gate => next.push(go(through(aim, inode))),
            Gate(aim, inode) if self.is_inner_free() => next.push(go(GateTaken(aim, inode))),
            Gate(..) => {}
            GateTaken(aim, inode) => next.push(go(through(aim, inode))),
            Runs(inode) => {
                next.push(go(Heir(inode)));
                next.push(self.begin_release(who, inode));
            }
            Works(inode) => next.push(self.begin_release(who, inode)),
            Heir(_) => {}
            MayRelease(inode) => next.push(go(Released(inode)).named(None)),
            Released(_) => next.push(go(Start)),
            Nested(id) if self.is_inner_free() => next.push(go(NestedTaken(id))),
            Nested(_) => {}
            NestedTaken(id) if !rules.look_nested || (self.name == Some(id) && self.is_flocked(id)) => {
                next.push(go(NestedWorks(id)));
            }
            NestedTaken(_) | NestedWorks(_) => next.push(go(Start)),
        }
        next
    }

    fn begin_release(&self, who: usize, inode: u8) -> World {
        self.with(who, if self.name == Some(inode) { MayRelease(inode) } else { Start })
    }

    fn has_two_holders(&self) -> bool {
        self.at.iter().filter(|at| at.holds()).count() > 1
    }

    fn has_two_at_work(&self) -> bool {
        self.at.iter().filter(|at| at.works()).count() > 1
    }

    /// The name is taken away from somebody who lives and holds it.
    fn has_somebody_robbed(&self) -> bool {
        self.at.iter().any(|at| at.holds() && at.inode() != self.name)
    }

    fn is_wrong(&self) -> bool {
        self.has_two_holders() || self.has_two_at_work() || self.has_somebody_robbed()
    }
}

fn through(aim: Aim, inode: u8) -> At {
    if aim == Aim::Run { Runs(inode) } else { Works(inode) }
}

/// Walks through every world that can come to be. How many there are, or the shortest way to one that is wrong.
fn explore(rules: Rules, is_wrong: impl Fn(&World) -> bool) -> Result<usize, Vec<World>> {
    let first = World { name: None, at: [Start; CONTENDERS] };
    let mut came_from = HashMap::from([(first.clone(), None)]);
    let mut todo = VecDeque::from([first]);
    while let Some(world) = todo.pop_front() {
        if is_wrong(&world) {
            let mut way = vec![world];
            while let Some(Some(before)) = came_from.get(&way[way.len() - 1]) {
                way.push(World::clone(before));
            }
            way.reverse();
            return Err(way);
        }
        for who in 0..CONTENDERS {
            for next in world.steps(who, rules) {
                let next = next.canonical();
                if !came_from.contains_key(&next) {
                    came_from.insert(next.clone(), Some(world.clone()));
                    todo.push_back(next);
                }
            }
        }
    }
    Ok(came_from.len())
}

#[test]
fn no_interleaving_of_three_contenders_has_two_holders() {
    let worlds = explore(ALL, World::is_wrong).unwrap_or_else(|way| panic!("{way:#?}"));
    assert!(worlds > 10_000, "only {worlds}");
    figures(&format!("model of the lock: {worlds} worlds, in none two holders, two at work, or one robbed"));
}

#[test]
fn without_the_look_before_removal_two_hold_the_lock() {
    let way = explore(Rules { look_before_removal: false, ..ALL }, World::has_two_holders).expect_err("two holders");
    figures(&format!("model of the lock without the look at the inode: two holders after {} steps", way.len() - 1));
}

#[test]
fn each_other_rule_is_needed_too() {
    explore(Rules { look_in_place: false, ..ALL }, World::has_two_holders).expect_err("two holders");
    explore(Rules { gate: false, ..ALL }, World::has_two_at_work).expect_err("two at work");
    explore(Rules { look_nested: false, ..ALL }, World::has_two_at_work).expect_err("two at work");
}

/// Past libtest, which would hide it.
fn figures(line: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}
