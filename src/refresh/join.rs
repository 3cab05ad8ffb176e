//! Which name is which message: one pass over the names, one over the slots.
//!
//! The names go into a table by the hash of their base; then the slots' hash column is walked once. Equal hash and
//! equal inode is the same mail; nothing else needs to be read for it.

use std::collections::HashMap;

use hashbrown::HashTable;

use crate::error::Result;
use crate::format::SlotNo;
use crate::format::status::Status;
use crate::index::{Entries, Slot, Snapshot};
use crate::maildir::Sub;
use crate::maildir::listing::{Listed, Listing};
use crate::maildir::name::{self, Name, stem};

/// The listings of `new/` and `cur/`, as far as they were made.
pub(crate) type Listings = [Option<Listing>; 2];

/// A name of a listing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) hash: u64,
    pub(crate) sub: Sub,
    position: u32,
    slot: Option<SlotNo>,
}

/// What must be done about a name whose mail has to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task {
    /// A base name that is not known.
    Add,
    /// A known base name on another inode, or a mail whose entry was made before it could be read or had contents.
    Compare(SlotNo),
    /// A base name that is not known on the inode of one that is gone.
    Renamed(SlotNo),
}

/// What a comparison of names and slots brought.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Mails to be read, by their place among the candidates.
    pub(crate) tasks: Vec<(u32, Task)>,
    /// New status words: flags changed, or moved.
    pub(crate) status: Vec<(SlotNo, Status)>,
    /// Hashes that did not fit their entry, with the inode.
    pub(crate) hints: Vec<(SlotNo, u64, u64)>,
    /// Slots in the listed directories whose base name was not found.
    pub(crate) missing: Vec<SlotNo>,
    /// Slots whose base name belongs to a larger UID.
    pub(crate) superseded: Vec<SlotNo>,
    /// Live messages.
    pub(crate) live: usize,
    /// A name in the directory that was listed has the base name of a message in the other one, which was not: a second
    /// file, or the mail has moved just now. Only both listings tell.
    pub(crate) needs_both: bool,
}

/// Whether mail with this name is to be compared in any case.
pub(crate) type Thorough<'t> = &'t dyn Fn(&[u8]) -> bool;

/// The names of both directories, by base name.
pub(crate) struct Names<'l> {
    listings: &'l Listings,
    candidates: Vec<Candidate>,
    table: HashTable<u32>,
    /// Names with a base name that was met before.
    twins: HashMap<u32, Vec<Candidate>>,
}

impl<'l> Names<'l> {
    pub(crate) fn collect(listings: &'l Listings, hash: impl Fn(&[u8]) -> u64) -> Names<'l> {
        let count = listings.iter().flatten().map(Listing::len).sum();
        let mut names = Names {
            listings,
            candidates: Vec::with_capacity(count),
            table: HashTable::with_capacity(count),
            twins: HashMap::new(),
        };
        for sub in Sub::ALL {
            let Some(listing) = &listings[sub as usize] else { continue };
            for (position, listed) in (0..).zip(listing.iter()) {
                let base = Name::parse(listed.name).base;
                names.insert(Candidate { hash: hash(base), sub, position, slot: None }, base);
            }
        }
        names
    }

    fn insert(&mut self, candidate: Candidate, base: &[u8]) {
        let Names { listings, candidates, table, .. } = self;
        let hash_of = |&at: &u32| candidates[at as usize].hash;
        let same = |&at: &u32| {
            let other = &candidates[at as usize];
            other.hash == candidate.hash && Name::parse(listed(listings, other).name).base == base
        };
        if let Some(&first) = table.find(candidate.hash, same) {
            self.twins.entry(first).or_default().push(candidate);
        } else {
            table.insert_unique(candidate.hash, candidates.len() as u32, hash_of);
            candidates.push(candidate);
        }
    }

    /// The candidate at a place.
    pub(crate) fn candidate(&self, at: u32) -> &Candidate {
        &self.candidates[at as usize]
    }

    /// Sorts mails by their arrival. There may be millions: so what is kept of each for that is its second alone, and of one
    /// second the whole names decide.
    pub(crate) fn sort_by_arrival(&self, tasks: &mut [(u32, Task)]) {
        let arrival = |at: u32| name::arrival(name::base_of(self.listed(self.candidate(at)).name));
        tasks.sort_by_cached_key(|&(at, _)| arrival(at).0);
        for same in tasks.chunk_by_mut(|a, b| arrival(a.0).0 == arrival(b.0).0) {
            same.sort_unstable_by(|a, b| arrival(a.0).cmp(&arrival(b.0)));
        }
    }

    /// The file behind a candidate.
    pub(crate) fn listed(&self, candidate: &Candidate) -> Listed<'l> {
        listed(self.listings, candidate)
    }

    pub(crate) fn status(&self, candidate: &Candidate) -> Status {
        Status::of_name(candidate.sub, &Name::parse(self.listed(candidate).name))
    }

    /// Settles which of several files with one base name is meant: the one that is indexed already (`prefers`), else
    /// one in `cur/`, else the first by name. `links` says how many hard links the file of a name has now, if it is
    /// there.
    pub(crate) fn settle_twins(
        &mut self,
        mut links: impl FnMut(Sub, &[u8]) -> Option<u64>,
        prefers: impl Fn(u64, u64) -> bool,
    ) -> Vec<(Candidate, Candidate)> {
        let mut found = Vec::new();
        for (first, mut all) in std::mem::take(&mut self.twins) {
            all.push(self.candidates[first as usize]);
            all.sort_by_key(|candidate| self.listed(candidate).ino);
            let ino = |candidate: &Candidate| self.listed(candidate).ino;
            let mut files = Vec::new();
            for names in all.chunk_by(|a, b| ino(a) == ino(b)) {
                files.extend(self.names_of_one_file(names, &mut links));
            }
            files.sort_by_key(|candidate| {
                let listed = self.listed(candidate);
                (!prefers(candidate.hash, listed.ino), candidate.sub != Sub::Cur, listed.name)
            });
            self.candidates[first as usize] = files[0];
            found.extend(files[1..].iter().map(|second| (files[0], *second)));
        }
        found
    }

    /// A file that moved between the two listings was met under two names, and has one of them, or by now a third. Only
    /// what has hard links is there twice; who looks at one name after the other can find both even so.
    fn names_of_one_file(
        &self,
        names: &[Candidate],
        links: &mut impl FnMut(Sub, &[u8]) -> Option<u64>,
    ) -> Vec<Candidate> {
        let [first, _, ..] = names else { return names.to_vec() };
        let links: Vec<_> = names.iter().map(|name| links(name.sub, self.listed(name).name)).collect();
        if links.iter().all(|links| links.is_some_and(|links| links >= names.len() as u64)) {
            return names.to_vec();
        }
        let there = names.iter().zip(&links).find(|(_, links)| links.is_some());
        vec![there.map_or(*first, |(name, _)| *name)]
    }

    /// Whether any base name has several files.
    pub(crate) fn has_twins(&self) -> bool {
        !self.twins.is_empty()
    }

    /// Compares the names with the published slots.
    ///
    /// Mail whose name is `thorough` is to be read and compared, even on the inode that is known.
    pub(crate) fn join(
        &mut self,
        snapshot: &Snapshot<'_>,
        entries: &mut Entries,
        thorough: Thorough<'_>,
    ) -> Result<Plan> {
        let mut plan = Plan::default();
        for slot in snapshot.slots() {
            let status = slot.status()?;
            if status.has(Status::EXPUNGED) {
                continue;
            }
            plan.live += 1;
            match self.find(slot.hash(), slot.inode()) {
                Some(at) => {
                    plan.needs_both |= self.listings[status.sub() as usize].is_none();
                    self.matched(at, &slot, thorough, &mut plan)?;
                }
                None if self.listings[status.sub() as usize].is_some() => plan.missing.push(slot.no()),
                None => {}
            }
        }
        self.mend_hashes(snapshot, entries, thorough, &mut plan)?;
        self.pair_renames(snapshot, entries, &mut plan)?;
        Ok(plan)
    }

    /// A slot whose hash has a name.
    fn matched(&mut self, at: u32, slot: &Slot<'_>, thorough: Thorough<'_>, plan: &mut Plan) -> Result<()> {
        let (no, status) = (slot.no(), slot.status()?);
        if let Some(earlier) = self.candidates[at as usize].slot.replace(no) {
            // Two live UIDs for one base name: a writer was killed between the new one and the end of the old one.
            plan.superseded.push(earlier);
            plan.status.retain(|(no, _)| *no != earlier);
            plan.tasks.retain(|(_, task)| !matches!(task, Task::Compare(no) if *no == earlier));
        }
        let candidate = self.candidates[at as usize];
        let doubtful = status.has(Status::UNREADABLE) || status.has(Status::EMPTY);
        // Mail hardly ever goes back to new/, but a delivery under a used name, on an inode that has become free, looks so.
        let returned = status.sub() == Sub::Cur && candidate.sub == Sub::New;
        let listed = self.listed(&candidate);
        if doubtful || returned || slot.inode() != listed.ino || thorough(listed.name) {
            plan.tasks.push((at, Task::Compare(no)));
            return Ok(());
        }
        let named = self.status(&candidate);
        if named != status {
            plan.status.push((no, named));
        }
        Ok(())
    }

    /// The name with a hash, on this inode if there is one.
    pub(crate) fn by_hash(&self, hash: u64, ino: u64) -> Option<Candidate> {
        self.find(hash, ino).map(|at| self.candidates[at as usize])
    }

    /// The file with a base name.
    pub(crate) fn by_base(&self, hash: u64, base: &[u8]) -> Option<Candidate> {
        let same = |&at: &u32| {
            let candidate = &self.candidates[at as usize];
            candidate.hash == hash && Name::parse(self.listed(candidate).name).base == base
        };
        self.table.find(hash, same).map(|&at| self.candidates[at as usize])
    }

    /// The name with a hash; of several, which only chance brings, the one on this inode.
    fn find(&self, hash: u64, ino: u64) -> Option<u32> {
        let fits = |&at: &u32| self.candidates[at as usize].hash == hash;
        let exact = |at: &u32| fits(at) && self.listed(&self.candidates[*at as usize]).ino == ino;
        self.table.find(hash, exact).or_else(|| self.table.find(hash, fits)).copied()
    }

    /// A slot that found no name is compared by the base name in its entry: a hash can be wrong, an entry cannot.
    fn mend_hashes(
        &mut self,
        snapshot: &Snapshot<'_>,
        entries: &mut Entries,
        thorough: Thorough<'_>,
        plan: &mut Plan,
    ) -> Result<()> {
        for no in std::mem::take(&mut plan.missing) {
            let slot = snapshot.slot(no).expect("the slot of this snapshot");
            let hash = snapshot.index().identity().hash(entries.read(&slot)?.base);
            if hash == slot.hash() {
                plan.missing.push(no);
                continue;
            }
            plan.hints.push((no, hash, slot.inode()));
            match self.find(hash, slot.inode()) {
                Some(at) => self.matched(at, &slot, thorough, plan)?,
                None => plan.missing.push(no),
            }
        }
        Ok(())
    }

    /// Names without a slot: new mail, or mail that a sync program renamed (the same inode, and the same text before
    /// the first comma).
    fn pair_renames(&self, snapshot: &Snapshot<'_>, entries: &mut Entries, plan: &mut Plan) -> Result<()> {
        let mut by_inode = HashMap::new();
        for &no in &plan.missing {
            by_inode.insert(snapshot.slot(no).expect("the slot of this snapshot").inode(), no);
        }
        for (at, candidate) in (0..).zip(&self.candidates).filter(|(_, candidate)| candidate.slot.is_none()) {
            let listed = self.listed(candidate);
            let task = match by_inode.get(&listed.ino) {
                Some(&no) => {
                    let slot = snapshot.slot(no).expect("the slot of this snapshot");
                    let same = stem(entries.read(&slot)?.base) == stem(Name::parse(listed.name).base);
                    if same { Task::Renamed(no) } else { Task::Add }
                }
                None => Task::Add,
            };
            plan.tasks.push((at, task));
        }
        Ok(())
    }
}

fn listed<'l>(listings: &'l Listings, candidate: &Candidate) -> Listed<'l> {
    let listing = listings[candidate.sub as usize].as_ref().expect("a candidate comes from a listing");
    listing.get(candidate.position as usize)
}
