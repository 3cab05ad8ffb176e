//! A replica that was copied, or put back from a back-up, goes on as a new one. Under its old id it would say things that others
//! have heard before, of other mail; and its folders would give out numbers that were given out already.
//!
//! It is known by its [`Seal`], or by others, who know more of it than it does. Then:
//!
//! 1. It takes a new id. What others cannot have heard of the old one is said again under the new one.
//! 2. Each index that was put back skips all numbers up to the seconds since 1970: so two lives that begin at one back-up do
//!    not meet. One that is lost gets its numbers back from what the replica knows.
//! 3. If folders were put back, what stood in them is forgotten: mail that is missing was not removed. It comes again.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::git::Oid;
use super::peer::{COUNTER_MAX, UID_NEXT_MAX};
use super::repository::{Peer, Repository, Tip};
use super::seal::{Born, IndexSeal, Seal, machine};
use super::state::{Folder as Known, FolderId, Guid, ReplicaId, State};
use super::text::parse_versions;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::index::OFFSETS;
use crate::index::generation::generations;
use crate::lock::{Lock, Owner};
use crate::maildir::Sub;
use crate::maildir::listing::Listing;
use crate::maildir::name::{base_of, stem};
use crate::maildir::open_mail;
use crate::ops::build::{OnProgress, Options};
use crate::refresh::{adopt, refresh_after};
use crate::sync::local::Local;
use crate::sync::replica::Replica;
use crate::sync::scan::{Manner, folder_name, guid_of};
use crate::tree;
use crate::uidlist::{Format, Line, UidList};

/// Where the clock cannot be believed so many numbers are skipped, and up to [`SPREAD`] more.
const SKIPPED: u32 = 1 << 20;

/// At random, so that two lives do not meet.
const SPREAD: u32 = 1 << 26;

/// How far the clocks of others may be ahead.
const DAY: i64 = 24 * 3600;

/// How it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The machine is another one.
    Machine,
    /// The repository is not where it was written.
    Repository,
    /// The mail root, or an index in it, is not what it was.
    Root,
    /// Others know more of it than it does.
    Others,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Machine => "this is another machine",
            Why::Repository => "its repository was copied, or put back from a back-up",
            Why::Root => "mail with its index was copied, or put back from a back-up",
            Why::Others => {
                "others know more of it than it does: it was put back from a back-up, or there are two of it"
            }
        })
    }
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Renewal {
    pub why: Why,
    /// Changes of the old id that others may have heard; all of them, if nothing was said since.
    heard: u64,
    /// Folders whose index was put back, or is lost.
    put_back: BTreeSet<FolderId>,
    /// All were.
    all: bool,
    /// What stood in the folders is not known.
    pub forget: bool,
}

/// Whether a replica is what it was. Folders are looked at if something may have happened in them.
pub(super) fn examine(
    replica: &Replica,
    manner: &Manner<'_>,
    own: Option<Oid>,
    peers: &[Peer],
    look_into_folders: bool,
) -> Result<Option<Renewal>> {
    let dir = replica.own();
    let seal = Seal::read(&dir)?;
    let mut put_back = BTreeSet::new();
    let mut why = None;
    let mut is_other_root = false;
    if let Some(seal) = &seal {
        let folders = if look_into_folders { tree::find(&replica.root)?.folders } else { Vec::new() };
        for path in &folders {
            let Some(id) = folder_name(&replica.root, path).map(|name| FolderId::of(&name)) else { continue };
            let mut folder = Folder::open_with(path, manner.setting)?;
            let is_lost = is_without_index(&folder)?;
            let was_put_back = match seal.folders.get(&id) {
                Some(_) if is_lost => true,
                Some(before) => IndexSeal::of(&mut folder).is_none_or(|now| before.was_put_back(&now)),
                None => folder.index().is_ok_and(|index| index.is_copy()),
            };
            if was_put_back {
                put_back.insert(id);
            }
        }
        let known_before = |id: &FolderId| seal.folders.contains_key(id);
        // An empty mount point is no mail root that was put back: the guard looks after that.
        is_other_root = !folders.is_empty() && Born::at(&replica.root)? != seal.root;
        why = if seal.machine != machine() {
            Some(Why::Machine)
        } else if !seal.is_own(&dir)?
            || own.map_or(0, |own| counter_in(&replica.repository, own, replica.id)) < seal.counter
        {
            Some(Why::Repository)
        } else if is_other_root || put_back.iter().any(known_before) {
            Some(Why::Root)
        } else {
            None
        };
    }
    let forget = is_other_root || put_back.iter().any(|id| seal.as_ref().is_some_and(|s| s.folders.contains_key(id)));
    if let Some(why) = why {
        return Ok(Some(Renewal { why, heard: u64::MAX, put_back, all: why == Why::Machine, forget }));
    }
    let heard = others_know_more(replica, own, peers)?;
    Ok(heard.map(|heard| Renewal { why: Why::Others, heard, put_back, all: true, forget }))
}

/// If others know more of a replica than it does: how many of its changes they have heard for certain.
fn others_know_more(replica: &Replica, own: Option<Oid>, peers: &[Peer]) -> Result<Option<u64>> {
    let (repository, me) = (&replica.repository, replica.id);
    let made = own.map_or(0, |own| counter_in(repository, own, me));
    // What somebody else has pushed under our name.
    if let Some(twin) = repository.twin(me)?.filter(|twin| Some(*twin) != own) {
        let is_older = match own {
            Some(own) => {
                repository.is_in(twin, own)? || (repository.is_cut() && counter_in(repository, twin, me) <= made)
            }
            None => false,
        };
        if !is_older {
            return Ok(Some(heard(repository, own, twin, me)?));
        }
    }
    for peer in peers {
        let knows = counter_in(repository, peer.commit, me);
        // Of who will be refused nothing is believed.
        if knows > made && knows <= COUNTER_MAX && repository.read(peer.commit).is_ok() {
            return Ok(Some(heard(repository, own, peer.commit, me)?));
        }
    }
    Ok(None)
}

/// How many changes of a replica are in the history that two commits have in common.
fn heard(repository: &Repository, own: Option<Oid>, theirs: Oid, me: ReplicaId) -> Result<u64> {
    let Some(own) = own else { return Ok(0) };
    Ok(repository.common(own, theirs)?.map_or(0, |common| counter_in(repository, common, me)))
}

/// What a state knows of a replica; nothing if it is none, for then it is refused when it is read.
fn counter_in(repository: &Repository, commit: Oid, replica: ReplicaId) -> u64 {
    let mut counter = 0;
    let read = repository.git.batch().and_then(|mut batch| {
        batch.objects([format!("{commit}:vv")], &mut |object| {
            let mut text = Vec::new();
            if object.len < 1 << 20 && object.contents.read_to_end(&mut text).is_ok() {
                counter = parse_versions(&text).ok().and_then(|versions| versions.get(&replica).copied()).unwrap_or(0);
            }
            Ok(())
        })
    });
    if read.is_ok() { counter } else { 0 }
}

/// Whether no file is there that knows the numbers of a folder.
fn is_without_index(folder: &Folder) -> Result<bool> {
    Ok(folder.dir().id_of(OFFSETS)?.is_none() && generations(folder.dir())?.is_empty())
}

impl Renewal {
    /// Makes a new replica of it.
    pub(super) fn carry_out(
        &self,
        replica: &Replica,
        own: Option<Oid>,
        local: &mut Local,
        manner: &Manner<'_>,
        told: &mut dyn FnMut(&Path, Option<&Owner>),
        progress: OnProgress<'_>,
    ) -> Result<Replica> {
        let repository = &replica.repository;
        let tip = own.map(|own| repository.read(own)).transpose()?;
        let id = ReplicaId::random();
        if let Some(tip) = &tip {
            let mut state = tip.state.clone();
            state.say_again(replica.id, id, self.heard);
            if repository.import()?.commit(id, Some(tip), &[], state)?.is_none() {
                repository.begin_at(id, tip.commit)?;
            }
        }
        // Numbers first: until there is a new id, the next run begins here again.
        self.skip_numbers(replica, tip.as_ref(), manner, told, progress)?;
        let renewed = replica.renamed(id)?;
        repository.leave(replica.id)?;
        if self.forget {
            local.folders.clear();
        }
        local.pushed.clear();
        local.follows.clear();
        local.save(&renewed.own())?;
        Ok(renewed)
    }

    fn skip_numbers(
        &self,
        replica: &Replica,
        tip: Option<&Tip>,
        manner: &Manner<'_>,
        told: &mut dyn FnMut(&Path, Option<&Owner>),
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let repository = &replica.repository;
        let mut others = Vec::new();
        for peer in repository.peers(replica.id)? {
            // Who is refused is told of later.
            others.extend(repository.read(peer.commit).ok().map(|tip| tip.state));
        }
        let newest = repository.newest()?;
        for path in tree::find(&replica.root)?.folders {
            let Some(id) = folder_name(&replica.root, &path).map(|name| FolderId::of(&name)) else { continue };
            if !self.all && !self.put_back.contains(&id) {
                continue;
            }
            let known = tip.and_then(|tip| tip.state.folders.get(&id).map(|folder| (&tip.state, folder)));
            let next = others.iter().filter_map(|state| state.folders.get(&id)).map(|folder| folder.uid_next);
            let next = next.chain(known.map(|(_, folder)| folder.uid_next)).max().unwrap_or(1);
            let mut folder = Folder::open_with(&path, manner.setting)?;
            let is_lost = is_without_index(&folder)?;
            let (next, uid_validity) = if is_lost {
                let Some((_, folder)) = known else { continue };
                (next, folder.uid_validity)
            } else {
                let Ok(index) = folder.complete_index() else { continue };
                (next.max(index.last_given()?.saturating_add(1)), index.identity().uid_validity)
            };
            let uid_next = u64::from(after(next, newest));
            let list = |lines| UidList { format: Format::Tsv, uid_validity, uid_next, fields: b"", lines };
            let mut first = |lock: &Lock, _: OnProgress<'_>| {
                let lines = match known {
                    Some((state, known)) if is_lost => lines(&folder, state, known)?,
                    _ => Vec::new(),
                };
                adopt(&folder, &list(lines), lock, &mut |_| ControlFlow::Continue(()))?;
                Ok(ControlFlow::Continue(()))
            };
            let options = Options { accept_removals: true, heal: true, full: false, uncounted: true };
            let mut told = |owner: Option<&Owner>| told(&path, owner);
            refresh_after("sync", &folder, options, manner.wait, &mut told, progress, &mut first)?;
        }
        Ok(())
    }
}

/// The numbers that mail in a folder had, as far as the files are still the same mail.
fn lines(folder: &Folder, state: &State, known: &Known) -> Result<Vec<Line<'static>>> {
    let mut by_stem: HashMap<Vec<u8>, Vec<(u32, Guid)>> = HashMap::new();
    for (uid, guid) in &known.uids {
        if let Some(mail) = state.mails.get(guid) {
            by_stem.entry(stem(&mail.base).to_vec()).or_default().push((*uid, *guid));
        }
    }
    let mut lines = Vec::new();
    for sub in Sub::ALL {
        let dir = folder.maildir().sub(sub)?;
        for listed in Listing::read(&dir)?.iter() {
            let base = base_of(listed.name);
            let Some(candidates) = by_stem.get(stem(base)) else { continue };
            let mut contents = Vec::new();
            if !open_mail(&dir, listed.name).is_ok_and(|(mut file, _)| file.read_to_end(&mut contents).is_ok()) {
                continue;
            }
            let guid = guid_of(base, &contents);
            if let Some((uid, _)) = candidates.iter().find(|(_, other)| *other == guid)
                && let Some(uid) = Uid::new(*uid)
            {
                lines.push(Line { uid, base: Cow::Owned(base.to_vec()), fields: b"" });
            }
        }
    }
    lines.sort_by_key(|line| line.uid);
    lines.dedup_by_key(|line| line.uid);
    Ok(lines)
}

/// A number that no life of the folder has reached: `newest` is when others, or an earlier life, last said something.
fn after(next: u32, newest: i64) -> u32 {
    let now = crate::system::now().tv_sec;
    match u32::try_from(now) {
        Ok(seconds) if now + DAY >= newest && seconds < UID_NEXT_MAX => next.max(seconds),
        // A clock that is wrong is wrong again the next time.
        _ => {
            let random = u32::from_le_bytes(crate::system::random()) % SPREAD;
            next.saturating_add(SKIPPED + random).min(UID_NEXT_MAX.max(next))
        }
    }
}

impl State {
    /// What `old` has said after its change `heard` nobody else can have heard: it is said again, by `new`.
    fn say_again(&mut self, old: ReplicaId, new: ReplicaId, heard: u64) {
        if self.versions.get(&old).is_none_or(|made| *made <= heard) {
            return;
        }
        let mut counter = 0;
        let mut say = |dots: &mut BTreeSet<super::state::Dot>| {
            let before = dots.len();
            dots.retain(|dot| dot.replica != old || dot.counter <= heard);
            if dots.len() < before {
                counter += 1;
                dots.insert(super::state::Dot { replica: new, counter });
            }
        };
        for mail in self.mails.values_mut() {
            let is_unheard = |dot: &super::state::Dot| dot.replica == old && dot.counter > heard;
            if mail.places.values().flatten().any(is_unheard) {
                Arc::make_mut(mail).places.values_mut().for_each(&mut say);
            }
        }
        self.folders.values_mut().map(|folder| &mut folder.dots).for_each(&mut say);
        match heard {
            0 => drop(self.versions.remove(&old)),
            _ => drop(self.versions.insert(old, heard)),
        }
        if counter > 0 {
            self.versions.insert(new, counter);
        }
    }
}

impl Repository {
    /// What others have under the name of this replica.
    fn twin(&self, me: ReplicaId) -> Result<Option<Oid>> {
        Ok(self.refs()?.remove(&format!("peer/{me}")))
    }

    /// Whether a commit is in the history of another one, as far as it was kept.
    fn is_in(&self, commit: Oid, of: Oid) -> Result<bool> {
        let args = ["rev-list", "--max-count=1", &commit.to_string(), &format!("^{of}")];
        Ok(self.git.run("git rev-list", args, b"")?.is_empty())
    }

    /// The last commit that is in the history of both.
    fn common(&self, a: Oid, b: Oid) -> Result<Option<Oid>> {
        match self.git.run("git merge-base", ["merge-base", &a.to_string(), &b.to_string()], b"") {
            Ok(oid) => Ok(Oid::parse(oid.trim_ascii())),
            // That is how it says that there is none.
            Err(Error::Git { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether history was cut.
    pub(super) fn is_cut(&self) -> bool {
        self.path().join("shallow").exists()
    }

    /// When something was last said, in seconds since 1970.
    fn newest(&self) -> Result<i64> {
        let format = "--format=%(committerdate:unix)";
        let times = self.git.run("git for-each-ref", ["for-each-ref", format, "refs/maildex/"], b"")?;
        Ok(String::from_utf8_lossy(&times).lines().filter_map(|time| time.parse().ok()).max().unwrap_or(0))
    }

    /// A replica begins with the state of another one.
    fn begin_at(&self, id: ReplicaId, commit: Oid) -> Result<()> {
        self.guard(id)?;
        let name = format!("refs/maildex/r/{id}");
        self.git.run("git update-ref", ["update-ref", &name, &commit.to_string()], b"").map(drop)
    }

    /// This repository is no longer that of a replica: others have what it has said.
    pub(super) fn leave(&self, id: ReplicaId) -> Result<()> {
        self.git.run("git update-ref", ["update-ref", "-d", &format!("refs/maildex/r/{id}")], b"").map(drop)
    }
}

/// Removes what a killed renewal has left.
pub(super) fn settle(replica: &Replica) -> Result<()> {
    for id in &replica.was {
        if replica.repository.own(*id)?.is_some() {
            replica.repository.leave(*id)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::state::{Dot, Mail};
    use std::collections::BTreeMap;

    #[test]
    fn numbers_after_a_wrong_clock_are_apart() {
        let now = crate::system::now().tv_sec;
        assert!((now..now + 60).contains(&i64::from(after(5, now))));
        assert_eq!(after(UID_NEXT_MAX - 1, now), UID_NEXT_MAX - 1);
        // Somebody has spoken years after our clock.
        let far: Vec<u32> = (0..8).map(|_| after(5, now + 400 * DAY)).collect();
        assert!(far.iter().all(|next| (SKIPPED..=SKIPPED + SPREAD + 5).contains(next)), "{far:?}");
        assert!(far.windows(2).any(|pair| pair[0] != pair[1]), "{far:?}");
        assert_eq!(after(u32::MAX, now + 400 * DAY), u32::MAX);
    }

    #[test]
    fn only_what_nobody_has_heard_is_said_again() {
        let (old, new, other) = (ReplicaId(1), ReplicaId(2), ReplicaId(3));
        let dot = |replica, counter| Dot { replica, counter };
        let place = |dots: &[Dot]| {
            let places = BTreeMap::from([(FolderId(1), dots.iter().copied().collect())]);
            Arc::new(Mail { base: b"1.a".to_vec(), places, ..Mail::default() })
        };
        let dots = |state: &State, n: u8| state.mails[&Guid([n; 16])].places[&FolderId(1)].clone();
        let mut state = State {
            versions: BTreeMap::from([(old, 9), (other, 4)]),
            mails: BTreeMap::from([
                (Guid([1; 16]), place(&[dot(old, 5)])),
                (Guid([2; 16]), place(&[dot(old, 7)])),
                (Guid([3; 16]), place(&[dot(old, 8), dot(other, 2)])),
            ]),
            folders: BTreeMap::new(),
        };
        let before = state.clone();
        state.say_again(old, new, 9);
        assert_eq!(state, before);
        state.say_again(old, new, 5);
        assert_eq!(dots(&state, 1), [dot(old, 5)].into());
        assert_eq!(dots(&state, 2), [dot(new, 1)].into());
        assert_eq!(dots(&state, 3), [dot(new, 2), dot(other, 2)].into());
        assert_eq!(state.versions, BTreeMap::from([(old, 5), (new, 2), (other, 4)]));
    }
}
