//! Two states become one. No common ancestor is needed, so history may be cut; who joins what in which order does not
//! matter, and every replica that has joined the same comes to the same.
//!
//! Mails, folders and UIDNEXT are semilattices: their join is commutative, associative and idempotent. Live numbers are
//! commutative and idempotent; then each visible mail without a number gets one, in an order that every replica computes
//! alike ([`merge`]). `tests/model/sync_model.py` is this in Python, and checks what is promised over random schedules.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use super::state::{Dot, Folder, FolderId, Guid, Mail, State};
use crate::error::{Error, Result};

/// When mails get their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// At each join.
    Eager,
    /// When somebody lists the folder: no number is given out twice, for machines that only receive.
    Lazy,
}

/// Two states as one, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// What both know.
    pub state: State,
    /// Each mail that lost its number, by folder and number; ours before theirs.
    pub burnt: Vec<Burnt>,
}

/// A number that is dead although its mail is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burnt {
    /// The folder.
    pub folder: FolderId,
    /// The mail.
    pub guid: Guid,
    /// The number that it had.
    pub old: u32,
    /// The one that it has now; none yet if numbering is lazy.
    pub new: Option<u32>,
    /// It had it here; else at the other replica only.
    pub ours: bool,
    /// Why it could not keep it.
    pub why: Why,
}

/// Why a mail could not keep its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The other replica gave the number to another mail, which lost it, too.
    OtherMail(Guid),
    /// At the other replica the number was decided, and is dead: of a mail that is gone, or burnt before.
    Dead,
    /// The folder there has a larger UIDVALIDITY, so the numbers here are void.
    UidValidity,
}

/// Joins two states and gives numbers to the mails that have none.
pub fn merge(ours: &State, theirs: &State, numbering: Numbering) -> Result<Merged> {
    let mut state = ours.join(theirs);
    if numbering == Numbering::Eager {
        state.assign(|folder| hints(ours, theirs, folder))?;
    }
    let burnt = burnt(ours, theirs, &state);
    Ok(Merged { state, burnt })
}

impl State {
    /// The least state that knows what both know; mails whose number died have none.
    #[must_use]
    pub fn join(&self, other: &State) -> State {
        let versions = union(&self.versions, &other.versions, |a, b| *a.max(b));
        let mut mails = BTreeMap::new();
        for (guid, ours, theirs) in pairs(&self.mails, &other.mails) {
            let places = match (ours, theirs) {
                // As most of them are.
                (Some(ours), Some(theirs)) if ours == theirs => {
                    mails.insert(*guid, Arc::clone(ours));
                    continue;
                }
                (Some(ours), Some(theirs)) => self.join_places(other, ours, theirs),
                (Some(ours), None) => self.join_places(other, ours, &Mail::default()),
                (None, Some(theirs)) => self.join_places(other, &Mail::default(), theirs),
                (None, None) => continue,
            };
            if !places.is_empty() {
                mails.insert(*guid, join_mail(ours, theirs, places));
            }
        }
        let mut state = State { versions, mails, folders: BTreeMap::new() };
        for (id, ours, theirs) in pairs(&self.folders, &other.folders) {
            let dots = |folder: Option<&Folder>| folder.map(|folder| folder.dots.clone()).unwrap_or_default();
            let dots = self.join_dots(other, &dots(ours), &dots(theirs));
            if let Some(folder) = join_folder(*id, ours, theirs, dots, &state.mails) {
                state.folders.insert(*id, folder);
            }
        }
        state
    }

    /// Gives each mail that has no number one from UIDNEXT on, in each folder. The order is that of the hints, the smallest number
    /// that a mail has had, then of guids. How many were given.
    pub fn assign(&mut self, hints: impl Fn(FolderId) -> HashMap<Guid, u32>) -> Result<usize> {
        let mut given = 0;
        let mut here: HashMap<FolderId, Vec<Guid>> = HashMap::new();
        for (guid, mail) in &self.mails {
            for folder in mail.places.keys() {
                here.entry(*folder).or_default().push(*guid);
            }
        }
        for (id, folder) in &mut self.folders {
            let Some(mut without) = here.remove(id) else { continue };
            if without.len() == folder.uids.len() {
                continue;
            }
            let numbered: HashSet<Guid> = folder.uids.values().copied().collect();
            without.retain(|guid| !numbered.contains(guid));
            let hints = hints(*id);
            without.sort_unstable_by_key(|guid| (hints.get(guid).copied().unwrap_or(u32::MAX), *guid));
            given += without.len();
            for guid in without {
                if folder.uid_next == u32::MAX {
                    return Err(Error::UidsExhausted { path: OsString::from_vec(folder.name.clone()).into() });
                }
                folder.uids.insert(folder.uid_next, guid);
                folder.uid_next += 1;
            }
        }
        Ok(given)
    }

    fn join_places(&self, other: &State, ours: &Mail, theirs: &Mail) -> BTreeMap<FolderId, BTreeSet<Dot>> {
        const NONE: &BTreeSet<Dot> = &BTreeSet::new();
        let joined = pairs(&ours.places, &theirs.places).map(|(folder, ours, theirs)| {
            (*folder, self.join_dots(other, ours.unwrap_or(NONE), theirs.unwrap_or(NONE)))
        });
        joined.filter(|(_, dots)| !dots.is_empty()).collect()
    }

    /// Those that both have, and those of one that the other has not seen; what it has seen and lacks it has removed.
    fn join_dots(&self, other: &State, ours: &BTreeSet<Dot>, theirs: &BTreeSet<Dot>) -> BTreeSet<Dot> {
        if ours == theirs {
            return ours.clone();
        }
        let ours_stay = ours.iter().filter(|dot| theirs.contains(dot) || !other.has_seen(**dot));
        let theirs_stay = theirs.iter().filter(|dot| !self.has_seen(**dot));
        ours_stay.chain(theirs_stay).copied().collect()
    }
}

fn join_mail(
    ours: Option<&Arc<Mail>>,
    theirs: Option<&Arc<Mail>>,
    places: BTreeMap<FolderId, BTreeSet<Dot>>,
) -> Arc<Mail> {
    Arc::new(match (ours, theirs) {
        (Some(mail), None) | (None, Some(mail)) if mail.places == places => return Arc::clone(mail),
        (Some(ours), Some(theirs)) => Mail {
            base: (&ours.base).min(&theirs.base).clone(),
            flags: union(&ours.flags, &theirs.flags, |a, b| *a.max(b)),
            delivered: earlier(ours.delivered, theirs.delivered),
            places,
        },
        (Some(mail), None) | (None, Some(mail)) => {
            Mail { base: mail.base.clone(), flags: mail.flags.clone(), delivered: mail.delivered, places }
        }
        (None, None) => Mail { places, ..Mail::default() },
    })
}

/// Of two times the earlier; 0 is not known.
pub(super) fn earlier(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 { a.max(b) } else { a.min(b) }
}

/// The numbers: below both UIDNEXTs those that are of one mail on either side; between the two those of the side that has
/// decided them.
fn join_folder(
    id: FolderId,
    ours: Option<&Folder>,
    theirs: Option<&Folder>,
    dots: BTreeSet<Dot>,
    mails: &BTreeMap<Guid, Arc<Mail>>,
) -> Option<Folder> {
    let is_here = |guid: &Guid| mails.get(guid).is_some_and(|mail| mail.places.contains_key(&id));
    let live = |folder: &Folder, from: u32| -> BTreeMap<u32, Guid> {
        folder.uids.range(from..).filter(|(_, guid)| is_here(guid)).map(|(uid, guid)| (*uid, *guid)).collect()
    };
    let (ours, theirs) = match (ours, theirs) {
        (Some(ours), Some(theirs)) => (ours, theirs),
        (Some(one), None) | (None, Some(one)) => return Some(Folder { dots, uids: live(one, 0), ..one.clone() }),
        (None, None) => return None,
    };
    let name = (&ours.name).min(&theirs.name).clone();
    // Where no number was ever given out nobody remembers anything.
    let rank = |folder: &Folder| (folder.uid_next > 1, folder.uid_validity);
    let (high, low) = match rank(ours).cmp(&rank(theirs)) {
        Ordering::Less => return Some(Folder { dots, name, uids: live(theirs, 0), ..theirs.clone() }),
        Ordering::Greater => return Some(Folder { dots, name, uids: live(ours, 0), ..ours.clone() }),
        Ordering::Equal if ours.uid_next >= theirs.uid_next => (ours, theirs),
        Ordering::Equal => (theirs, ours),
    };
    let both = pairs(&low.uids, &high.uids).filter_map(|(uid, low, high)| Some((*uid, *low.filter(|_| low == high)?)));
    let mut uids: BTreeMap<u32, Guid> = both.filter(|(_, guid)| is_here(guid)).collect();
    uids.append(&mut live(high, low.uid_next));
    Some(Folder { name, dots, uid_validity: high.uid_validity, uid_next: high.uid_next, uids })
}

/// The smallest number that each mail of a folder has on either side.
fn hints(ours: &State, theirs: &State, folder: FolderId) -> HashMap<Guid, u32> {
    let mut hints = HashMap::new();
    for (uid, guid) in
        [ours, theirs].iter().filter_map(|state| state.folders.get(&folder)).flat_map(|folder| &folder.uids)
    {
        hints.entry(*guid).and_modify(|hint: &mut u32| *hint = (*hint).min(*uid)).or_insert(*uid);
    }
    hints
}

/// Mails that are still where they were, under another number.
fn burnt(ours: &State, theirs: &State, joined: &State) -> Vec<Burnt> {
    let mut burnt = Vec::new();
    for (id, folder) in &joined.folders {
        let is_here = |guid: &Guid| joined.mails.get(guid).is_some_and(|mail| mail.places.contains_key(id));
        let from = burnt.len();
        let mut numbers: Option<HashMap<Guid, u32>> = None;
        for (side, other, is_ours) in [(ours, theirs, true), (theirs, ours, false)] {
            let Some(before) = side.folders.get(id) else { continue };
            let changed = pairs(&before.uids, &folder.uids).filter(|(_, before, now)| before != now);
            let lost = changed.filter_map(|(uid, before, _)| Some((*uid, *before?)));
            for (old, guid) in lost.filter(|(_, guid)| is_here(guid)) {
                let numbers =
                    numbers.get_or_insert_with(|| folder.uids.iter().map(|(uid, guid)| (*guid, *uid)).collect());
                let other = other.folders.get(id);
                let why = match other.and_then(|other| other.uids.get(&old)) {
                    _ if before.uid_validity != folder.uid_validity => Why::UidValidity,
                    Some(other) if *other != guid => Why::OtherMail(*other),
                    _ => Why::Dead,
                };
                burnt.push(Burnt { folder: *id, guid, old, new: numbers.get(&guid).copied(), ours: is_ours, why });
            }
        }
        burnt[from..].sort_by_key(|burnt| (burnt.old, !burnt.ours));
    }
    burnt
}

/// The entries of two maps side by side, in the order of their keys.
pub(super) fn pairs<'m, K: Ord, V>(
    ours: &'m BTreeMap<K, V>,
    theirs: &'m BTreeMap<K, V>,
) -> impl Iterator<Item = (&'m K, Option<&'m V>, Option<&'m V>)> {
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    std::iter::from_fn(move || {
        let order = match (ours.peek(), theirs.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        match order {
            Ordering::Less => ours.next().map(|(key, value)| (key, Some(value), None)),
            Ordering::Greater => theirs.next().map(|(key, value)| (key, None, Some(value))),
            Ordering::Equal => {
                let (mine, theirs) = (ours.next(), theirs.next().map(|(_, value)| value));
                mine.map(|(key, value)| (key, Some(value), theirs))
            }
        }
    })
}

fn union<K: Ord + Copy, V: Copy>(
    a: &BTreeMap<K, V>,
    b: &BTreeMap<K, V>,
    larger: impl Fn(&V, &V) -> V,
) -> BTreeMap<K, V> {
    pairs(a, b)
        .filter_map(|(key, a, b)| {
            let value = match (a, b) {
                (Some(a), Some(b)) => larger(a, b),
                (a, b) => *a.or(b)?,
            };
            Some((*key, value))
        })
        .collect()
}

#[cfg(test)]
mod tests;
