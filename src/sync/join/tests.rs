//! Laws on random states, and what is promised, over random work of several replicas: a model of it in Python, against
//! which the join is tested, too, is in `tests/model/`.

use std::collections::BTreeMap;

use super::*;
use crate::sync::state::ReplicaId;

const A: ReplicaId = ReplicaId(1);
const B: ReplicaId = ReplicaId(2);

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((x ^ (x >> 31)) >> 32) as usize * n) >> 32
    }

    fn of<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())])
    }
}

/// Replicas, what each has ever shown, and what must come of it.
struct World {
    random: Random,
    states: Vec<State>,
    /// By replica, folder and UIDVALIDITY.
    shown: BTreeMap<(usize, FolderId, u32), Shown>,
    /// Adds, and those of them that were removed by somebody who knew them.
    added: BTreeSet<(FolderId, Guid, Dot)>,
    removed: BTreeSet<(FolderId, Guid, Dot)>,
    mails: u64,
}

/// The mail of each number that was shown, and the UIDNEXT.
type Shown = (BTreeMap<u32, Guid>, u32);

const FOLDERS: [&[u8]; 3] = [b"", b".Sent", b".Old.2026"];

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let states = vec![State::default(); 2 + random.below(3)];
        let (shown, added, removed) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        World { random, states, shown, added, removed, mails: 0 }
    }

    fn me(at: usize) -> ReplicaId {
        ReplicaId(at as u64 + 1)
    }

    fn step(&mut self) {
        let at = self.random.below(self.states.len());
        let me = World::me(at);
        let kind = self.random.below(100);
        if kind >= 75 {
            let other = self.random.below(self.states.len());
            self.pull(at, other);
            return;
        }
        let before = self.states[at].clone();
        let state = &mut self.states[at];
        let places: Vec<(FolderId, Guid)> =
            state.mails.iter().flat_map(|(guid, mail)| mail.places.keys().map(|folder| (*folder, *guid))).collect();
        let place = self.random.of(&places);
        let name = self.random.of(&FOLDERS).unwrap();
        match (kind, place) {
            (..35, _) => {
                // Each replica draws its own, as folders that are made beside each other do.
                let folder = state.make_folder(me, name, 100 + at as u32);
                self.mails += 1;
                let guid = Guid((u128::from(self.mails * 7919 % 1000) << 64 | u128::from(self.mails)).to_be_bytes());
                state.add(me, folder, guid, b"1.a");
                assert!(state.give_uid(folder, guid, state.folders[&folder].uid_next + self.random.below(2) as u32));
            }
            (..50, Some((_, guid))) => {
                let letters = self.random.of(&[b"S".as_slice(), b"FS", b"T", b""]).unwrap();
                state.set_flags(me, guid, letters);
            }
            (..60, Some((folder, guid))) => assert_eq!(state.remove(me, folder, &BTreeSet::from([guid])), 1),
            (..68, Some((from, guid))) => {
                let to = state.make_folder(me, name, 100 + at as u32);
                assert_eq!(state.move_(me, &BTreeSet::from([guid]), from, to), usize::from(from != to));
            }
            (..71, Some((folder, guid))) => assert!(state.keep(me, folder, guid)),
            (71, _) => drop(state.remove_folder(me, FolderId::of(name))),
            _ => {}
        }
        state.assign(|_| HashMap::new()).unwrap();
        let dots = |state: &State| -> BTreeSet<(FolderId, Guid, Dot)> {
            let places = state.mails.iter().flat_map(|(guid, mail)| mail.places.iter().map(move |place| (guid, place)));
            places.flat_map(|(guid, (folder, dots))| dots.iter().map(|dot| (*folder, *guid, *dot))).collect()
        };
        let (before, now) = (dots(&before), dots(state));
        self.added.extend(now.difference(&before));
        self.removed.extend(before.difference(&now));
        self.show(at, "work");
    }

    fn pull(&mut self, at: usize, other: usize) {
        let merged = merge(&self.states[at], &self.states[other], Numbering::Eager).unwrap();
        crate::sync::text::check(&merged.state).unwrap();
        self.states[at] = merged.state;
        self.show(at, "pull");
    }

    /// What a client of this replica sees now must fit to all that it saw before.
    fn show(&mut self, at: usize, what: &str) {
        let state = &self.states[at];
        for (id, folder) in &state.folders {
            let before = self.shown.keys().filter(|(replica, shown, _)| (replica, shown) == (&at, id));
            assert!(before.map(|(_, _, validity)| validity).all(|validity| *validity <= folder.uid_validity), "{what}");
            let (shown, next) = self.shown.entry((at, *id, folder.uid_validity)).or_insert((BTreeMap::new(), 1));
            for (uid, guid) in &folder.uids {
                match shown.insert(*uid, *guid) {
                    Some(other) => assert_eq!(other, *guid, "{what}: UID {uid} shows two mails"),
                    None => assert!(*uid >= *next, "{what}: UID {uid} is new and below UIDNEXT {next}"),
                }
            }
            assert!(folder.uid_next >= *next, "{what}: UIDNEXT fell from {next} to {}", folder.uid_next);
            *next = folder.uid_next;
            let numbered: BTreeSet<Guid> = folder.uids.values().copied().collect();
            let here: BTreeSet<Guid> = state.mail_in(*id).map(|(guid, _)| guid).collect();
            assert_eq!((numbered.len(), numbered), (folder.uids.len(), here), "{what}: one UID for each mail");
        }
    }

    /// All exchange everything: all agree, nothing more changes, and mail is there unless all its adds were removed.
    fn finish(&mut self) {
        for _ in 0..3 {
            for at in 1..self.states.len() {
                self.pull(0, at);
            }
            for at in 1..self.states.len() {
                self.pull(at, 0);
            }
        }
        assert!(self.states.windows(2).all(|pair| pair[0] == pair[1]), "all know the same");
        let last = self.states[0].clone();
        self.pull(0, 1);
        assert_eq!(self.states[0], last, "nothing more changes");
        let mut alive = BTreeSet::new();
        for (folder, guid, dot) in &self.added {
            if !self.removed.contains(&(*folder, *guid, *dot)) {
                alive.insert((*folder, *guid));
            }
        }
        let places = last.mails.iter().flat_map(|(guid, mail)| mail.places.keys().map(|folder| (*folder, *guid)));
        assert_eq!(places.collect::<BTreeSet<_>>(), alive, "nothing is lost, and nothing comes back");
    }
}

#[test]
fn random_work_of_several_replicas_keeps_every_promise() {
    for seed in 0..150 {
        let mut world = World::new(seed);
        for _ in 0..120 {
            world.step();
        }
        world.finish();
    }
}

#[test]
fn the_join_obeys_its_laws() {
    let join = |a: &State, b: &State| merge(a, b, Numbering::Eager).unwrap().state;
    for seed in 0..150 {
        let mut world = World::new(1000 + seed);
        for _ in 0..60 {
            world.step();
        }
        let (a, b, c) = (&world.states[0], &world.states[1], world.states.last().unwrap());
        let both = join(a, b);
        assert_eq!(join(b, a), both, "commutative");
        assert_eq!(join(a, a), *a, "idempotent");
        assert_eq!((join(a, &both), join(&both, b)), (both.clone(), both), "absorbing");
        let (left, right) = (a.join(b).join(c), a.join(&b.join(c)));
        assert_eq!(left.versions, right.versions, "associative");
        let places =
            |state: &State| -> Vec<_> { state.mails.iter().map(|(g, mail)| (*g, mail.places.clone())).collect() };
        assert_eq!(places(&left), places(&right), "associative");
        let folder = |folder: &Folder| (folder.name.clone(), folder.dots.clone(), folder.uid_validity, folder.uid_next);
        let folders = |state: &State| -> Vec<_> { state.folders.values().map(folder).collect() };
        assert_eq!(folders(&left), folders(&right), "associative");
    }
}

/// Two replicas that know the same: one folder, mails 1, 2 ...
fn two(mails: u8) -> (State, State, FolderId) {
    let mut a = State::default();
    let folder = a.make_folder(A, b"", 7);
    for mail in 1..=mails {
        give(&mut a, A, folder, mail, u32::from(mail));
    }
    (a.clone(), a, folder)
}

fn give(state: &mut State, me: ReplicaId, folder: FolderId, mail: u8, uid: u32) {
    state.add(me, folder, guid(mail), &[b'0' + mail]);
    assert!(state.give_uid(folder, guid(mail), uid));
}

fn guid(mail: u8) -> Guid {
    Guid([mail; 16])
}

fn only(mail: u8) -> BTreeSet<Guid> {
    BTreeSet::from([guid(mail)])
}

fn merged(a: &State, b: &State) -> Merged {
    let merged = merge(a, b, Numbering::Eager).unwrap();
    assert_eq!(merge(b, a, Numbering::Eager).unwrap().state, merged.state);
    merged
}

#[test]
fn a_number_of_two_mails_is_dead_and_both_get_new_ones() {
    let (mut a, mut b, folder) = two(6);
    give(&mut a, A, folder, 9, 7);
    give(&mut b, B, folder, 8, 7);
    give(&mut b, B, folder, 3 + 7, 8);
    let Merged { state, burnt } = merged(&a, &b);
    let uids = &state.folders[&folder].uids;
    assert_eq!(uids.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 8, 9, 10]);
    assert_eq!((uids[&8], uids[&9], uids[&10]), (guid(10), guid(8), guid(9)));
    assert_eq!((state.folders[&folder].uid_validity, state.folders[&folder].uid_next), (7, 11));
    let told = |mail, new, ours, other| {
        let why = Why::OtherMail(guid(other));
        Burnt { folder, guid: guid(mail), old: 7, new: Some(new), ours, why }
    };
    assert_eq!(burnt, [told(9, 10, true, 8), told(8, 9, false, 9)]);
    // The other one merges the same, or takes ours: nothing more is burnt for what we have.
    let after = merged(&state, &b);
    assert_eq!(after.state, state);
    assert!(after.burnt.iter().all(|burnt| !burnt.ours && burnt.why == Why::Dead), "{:?}", after.burnt);
}

#[test]
fn a_number_whose_mail_is_gone_elsewhere_is_not_used_again() {
    let (mut a, mut b, folder) = two(2);
    give(&mut a, A, folder, 5, 3);
    give(&mut b, B, folder, 6, 3);
    assert_eq!(b.remove(B, folder, &only(6)), 1);
    let Merged { state, burnt } = merged(&a, &b);
    assert_eq!(state.folders[&folder].uids.iter().next_back(), Some((&4, &guid(5))));
    assert_eq!(burnt, [Burnt { folder, guid: guid(5), old: 3, new: Some(4), ours: true, why: Why::Dead }]);
}

#[test]
fn of_two_uidvalidities_the_larger_one_counts_with_its_numbers() {
    let mut a = State::default();
    let mut b = State::default();
    let folder = a.make_folder(A, b"x", 100);
    b.make_folder(B, b"x", 200);
    give(&mut a, A, folder, 3, 9);
    give(&mut a, A, folder, 2, 50);
    give(&mut a, A, folder, 1, 51);
    give(&mut b, B, folder, 1, 4);
    let Merged { state, burnt } = merged(&a, &b);
    assert_eq!(state.folders[&folder].uid_validity, 200);
    let uids: Vec<_> = state.folders[&folder].uids.iter().map(|(uid, guid)| (*uid, guid.0[0])).collect();
    assert_eq!(uids, [(4, 1), (5, 3), (6, 2)]);
    assert!(burnt.iter().all(|burnt| burnt.ours && burnt.why == Why::UidValidity));
    assert_eq!(
        burnt.iter().map(|burnt| (burnt.old, burnt.new)).collect::<Vec<_>>(),
        [(9, Some(5)), (50, Some(6)), (51, Some(4))]
    );
}

#[test]
fn a_delete_wins_over_a_flag_and_not_over_a_keep() {
    let (mut a, mut b, folder) = two(3);
    a.remove(A, folder, &BTreeSet::from([guid(1), guid(2), guid(3)]));
    b.set_flags(B, guid(1), b"S");
    b.keep(B, folder, guid(2));
    b.set_flags(B, guid(3), b"F");
    let state = merged(&a, &b).state;
    assert_eq!(state.mails.keys().copied().collect::<Vec<_>>(), [guid(2), guid(3)]);
    assert!(state.mails[&guid(3)].has(b'F'));
    // Kept mail is not the mail of the old number: that was announced as gone.
    assert_eq!(state.folders[&folder].uids.keys().copied().collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn moves_meet_moves_deletes_and_flags() {
    let (mut a, mut b, inbox) = two(4);
    let all = BTreeSet::from([guid(1), guid(2), guid(3)]);
    let sent = a.make_folder(A, b".Sent", 9);
    let old = b.make_folder(B, b".Old", 9);
    assert_eq!(a.move_(A, &all, inbox, sent), 3);
    assert_eq!(b.move_(B, &only(1), inbox, old), 1);
    assert_eq!(b.remove(B, inbox, &only(2)), 1);
    assert_eq!(b.set_flags(B, guid(3), b"RS"), 2);
    let state = merged(&a, &b).state;
    let places = |mail| state.mails[&guid(mail)].places.keys().copied().collect::<BTreeSet<_>>();
    assert_eq!((places(1), places(2), places(3)), ([sent, old].into(), [sent].into(), [sent].into()));
    assert_eq!(state.mails[&guid(3)].letters().collect::<Vec<_>>(), b"RS");
    assert_eq!(state.folders[&inbox].uids.len(), 1);
}

#[test]
fn flags_that_both_toggled_the_same_way_are_toggled_once() {
    let (mut a, mut b, _) = two(1);
    for (state, me) in [(&mut a, A), (&mut b, B)] {
        state.set_flags(me, guid(1), b"Sx");
    }
    a.set_flags(A, guid(1), b"x");
    let state = merged(&a, &b).state;
    assert_eq!(state.mails[&guid(1)].letters().collect::<Vec<_>>(), b"x");
}

#[test]
fn a_folder_that_is_removed_stays_while_mail_comes_to_it_elsewhere() {
    let (mut a, mut b, inbox) = two(1);
    let sent = a.make_folder(A, b".Sent", 9);
    give(&mut a, A, sent, 5, 1);
    b = merged(&a, &b).state;
    assert!(a.remove_folder(A, sent));
    assert!(!a.has_folder(sent) && !a.remove_folder(A, sent));
    give(&mut b, B, sent, 6, 2);
    let mut state = merged(&a, &b).state;
    assert!(state.has_folder(sent) && state.folders[&sent].dots.is_empty());
    assert_eq!(state.mail_in(sent).map(|(guid, _)| guid).collect::<Vec<_>>(), [guid(6)]);
    assert_eq!(state.remove(A, sent, &only(6)), 1);
    assert!(!state.has_folder(sent) && state.has_folder(inbox));
    // Made again it goes on with its numbers.
    assert_eq!(state.make_folder(A, b".Sent", 5), sent);
    assert_eq!((state.folders[&sent].uid_validity, state.folders[&sent].uid_next), (9, 3));
}

#[test]
fn what_is_decided_is_never_given_out_again() {
    let (mut a, _, folder) = two(3);
    a.remove(A, folder, &only(3));
    a.add(A, folder, guid(4), b"4");
    for uid in [0, 1, 3, u32::MAX] {
        assert!(!a.give_uid(folder, guid(4), uid), "{uid}");
    }
    assert!(!a.give_uid(folder, guid(9), 10), "it is not there");
    a.raise_uid_next(folder, 20);
    a.raise_uid_next(folder, 10);
    assert!(!a.give_uid(folder, guid(4), 19) && a.give_uid(folder, guid(4), 20));
}

#[test]
fn when_all_numbers_are_given_out_that_is_said() {
    let (mut a, b, folder) = two(1);
    a.raise_uid_next(folder, u32::MAX);
    a.add(A, folder, guid(2), b"2");
    assert!(matches!(merge(&a, &b, Numbering::Eager), Err(Error::UidsExhausted { .. })));
    assert!(merge(&a, &b, Numbering::Lazy).is_ok());
}

#[test]
fn a_change_that_changes_nothing_takes_no_dot() {
    let (a, _, folder) = two(2);
    let mut same = a.clone();
    assert_eq!(same.set_flags(A, guid(1), b""), 0);
    assert_eq!(same.set_flags(A, guid(9), b"S"), 0);
    assert_eq!(same.remove(A, folder, &only(9)), 0);
    assert_eq!(same.move_(A, &only(1), folder, folder), 0);
    assert!(!same.keep(A, folder, guid(9)) && !same.remove_folder(A, FolderId::of(b"none")));
    assert_eq!(same.make_folder(A, b"", 7), folder);
    assert_eq!(same.make_folder(A, b"", 3), folder);
    assert_eq!(same, a);
}
