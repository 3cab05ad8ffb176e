//! One run: fetch what others have told, see what happened here, join, commit, apply, push.
//!
//! There is one commit a run, however much happened. It is made before anything is applied, so that nothing depends on how
//! far a killed run came: the next one applies it first, and then looks. No lock of a folder is held while git works.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::lock::Owner;
use crate::ops::build::{OnProgress, Report};
use crate::refresh::is_fresh;
use crate::sync::apply::{Applied, Apply};
use crate::sync::import::Import;
use crate::sync::join::{Burnt, Why, merge};
use crate::sync::local::Local;
use crate::sync::meet::{SameContent, decide, meet};
use crate::sync::peer;
use crate::sync::remote::Remote;
use crate::sync::renew::{self, Why as WhyNew};
use crate::sync::replica::Replica;
use crate::sync::repository::{Peer, Tip};
use crate::sync::scan::{Held, Manner, Scan, Scanner, folder_name};
use crate::sync::seal::Seal;
use crate::sync::state::{FolderId, Guid, ReplicaId, State};
use crate::sync::tree::Shared;
use crate::tree;

/// Rounds before folders in which others give out numbers all the time are left for the next run.
const MAX_ROUNDS: usize = 5;

/// What is to be done, and how.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'p> {
    /// How the folders are treated.
    pub manner: Manner<'p>,
    /// Tell nothing to others.
    pub pull_only: bool,
    /// What to do with mail that is the same but for its name, where two roots meet for the first time.
    pub same_content: Option<SameContent>,
    /// How long git may be silent.
    pub patience: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Mails that came up here, and are told to others.
    pub sent: usize,
    /// Mails whose flags changed here.
    pub sent_flags: usize,
    /// Mails that moved here.
    pub sent_moved: usize,
    /// Mails that were removed here.
    pub sent_removed: usize,
    /// Mails that came.
    pub received: usize,
    /// Mails that got other flags.
    pub flags: usize,
    /// Mails that others moved.
    pub moved: usize,
    /// Mails that others removed.
    pub removed: usize,
    /// Folders that were made.
    pub made: usize,
    /// Folders that were removed.
    pub unmade: usize,
    /// Numbers that died although their mail is still there.
    pub burnt: Vec<Lost>,
    /// Folders with another UIDVALIDITY: path, old, new.
    pub other_validity: Vec<(std::path::PathBuf, u32, u32)>,
    /// Removals that were held back.
    pub held: Vec<Held>,
    /// Mail that stays here, and why.
    pub stays: Vec<(std::path::PathBuf, &'static str)>,
    /// What was noticed where an index was brought up to date.
    pub reports: Vec<(std::path::PathBuf, Report)>,
    /// Others that have got what is new.
    pub pushed: Vec<String>,
    /// What could not be done; the rest was.
    pub failed: Vec<Error>,
    /// It was copied, or put back from a back-up, and is a new replica from now on.
    pub renewed: Option<(WhyNew, ReplicaId)>,
    /// Folders in which others are at work all the time: the next run goes on.
    pub unfinished: bool,
}

/// A number that died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The folder, below the mail root.
    pub folder: Vec<u8>,
    /// The mail.
    pub base: Vec<u8>,
    /// The number that it had here.
    pub old: u32,
    /// The one that it has.
    pub new: u32,
    /// Why.
    pub why: &'static str,
}

/// Hears what a run is about.
#[derive(Debug, Clone, Copy)]
pub enum Step<'s> {
    /// It waits for the lock of a folder.
    Waits(&'s Path, Option<&'s Owner>),
    /// git says something.
    Git(&'s str),
}

/// Runs once.
pub fn run(
    replica: &Replica,
    plan: &Plan<'_>,
    told: &mut dyn FnMut(Step<'_>),
    progress: OnProgress<'_>,
) -> Result<Outcome> {
    let (repository, dir) = (&replica.repository.clone(), replica.own());
    let _busy = repository.lock()?;
    let mut outcome = Outcome::default();
    let remotes = repository.remotes()?;
    for remote in &remotes {
        let fetched = repository.fetch(remote, plan.patience, &mut |line| told(Step::Git(line)));
        outcome.failed.extend(fetched.err().into_iter().flatten());
    }
    renew::settle(replica)?;
    let mut peers = repository.peers(replica.id)?;
    let mut own = repository.own(replica.id)?;
    let mut commit = own.map(|commit| commit.to_string()).unwrap_or_default();
    let head = Local::read_head(&dir, &commit)?;
    let mut is_idle = match &head {
        Some(head) => peers.is_empty() && !head.pending && is_unchanged(&replica.root, plan, head)?,
        None => false,
    };
    let renewed;
    let mut replica = replica;
    if let Some(renewal) = renew::examine(replica, &plan.manner, own, &peers, !is_idle)? {
        let mut local = Local::read(&dir, &commit)?.unwrap_or_default();
        let told = &mut |path: &Path, owner: Option<&Owner>| told(Step::Waits(path, owner));
        renewed = renewal.carry_out(replica, own, &mut local, &plan.manner, told, progress)?;
        outcome.renewed = Some((renewal.why, renewed.id));
        (replica, is_idle) = (&renewed, false);
        (peers, own) = (repository.peers(replica.id)?, repository.own(replica.id)?);
        commit = own.map(|commit| commit.to_string()).unwrap_or_default();
        seal(replica, plan, None)?;
    }
    let worked = if is_idle {
        None
    } else {
        let mut shared = Shared::default();
        let tip = own.map(|commit| repository.read_beside(commit, &mut shared)).transpose()?;
        let local = Local::read(&dir, &commit)?.unwrap_or_default();
        let mut run = Run { replica, plan, told: &mut *told, progress, outcome: &mut outcome, tip, local, shared };
        run.work(peers)?;
        let (tip, local) = (run.tip, run.local);
        // Where much is missing nobody knows whether this is the mail root.
        if !outcome.held.iter().any(|held| held.here) {
            seal(replica, plan, tip.as_ref())?;
        }
        Some((tip, local))
    };
    if !plan.pull_only {
        let (own, worked) = match worked {
            Some((tip, local)) => (tip.map(|tip| tip.commit.to_string()).unwrap_or_default(), Some(local)),
            None => (commit, None),
        };
        let has_it = |remote: &&Remote| {
            let known = worked.as_ref().or(head.as_ref());
            known.is_some_and(|known| known.pushed.get(&remote.name) == Some(&own))
        };
        let behind: Vec<_> = remotes.iter().filter(|remote| !has_it(remote)).collect();
        if !behind.is_empty() && !own.is_empty() {
            let mut local = match worked {
                Some(local) => local,
                None => Local::read(&dir, &own)?.unwrap_or_default(),
            };
            for remote in behind {
                match repository.push(remote, replica.id, plan.patience, &mut |line| told(Step::Git(line))) {
                    Ok(is_news) => {
                        local.pushed.insert(remote.name.clone(), own.clone());
                        outcome.pushed.extend(is_news.then(|| remote.name.clone()));
                    }
                    Err(error) => outcome.failed.push(error),
                }
            }
            local.save(&dir)?;
        }
    }
    if !is_idle {
        outcome.failed.extend(repository.tidy().err());
    }
    replica.trash().clean(replica.trash_kept()?)?;
    Ok(outcome)
}

/// Writes down how the replica knows itself again.
fn seal(replica: &Replica, plan: &Plan<'_>, tip: Option<&Tip>) -> Result<()> {
    let counter = tip.and_then(|tip| tip.state.versions.get(&replica.id)).copied().unwrap_or(0);
    let folders = tree::find(&replica.root)?.folders;
    Seal::write(&replica.own(), &replica.root, counter, folders.iter().map(|path| &**path), plan.manner.setting)
}

/// Whether every folder is as it was when the last run ended.
fn is_unchanged(root: &Path, plan: &Plan<'_>, head: &Local) -> Result<bool> {
    let tree = tree::find(root)?;
    if tree.folders.len() != head.folders.len() || !tree.unreadable.is_empty() {
        return Ok(false);
    }
    for path in tree.folders {
        let known = folder_name(root, &path).and_then(|name| head.folders.get(&FolderId::of(&name)));
        let Some(known) = known.filter(|known| known.counter != 0) else { return Ok(false) };
        let mut folder = Folder::open_with(&path, plan.manner.setting)?;
        if !is_fresh(&mut folder).is_ok_and(|is_fresh| is_fresh) {
            return Ok(false);
        }
        let index = folder.complete_index()?;
        if index.identity().id != known.index || index.snapshot()?.counter() != known.counter {
            return Ok(false);
        }
    }
    Ok(true)
}

struct Run<'a> {
    replica: &'a Replica,
    plan: &'a Plan<'a>,
    told: &'a mut dyn FnMut(Step<'_>),
    progress: OnProgress<'a>,
    outcome: &'a mut Outcome,
    /// The own state as it is committed.
    tip: Option<Tip>,
    local: Local,
    shared: Shared,
}

impl<'a> Run<'a> {
    fn work(&mut self, mut peers: Vec<Peer>) -> Result<()> {
        let mut burnt = Vec::new();
        if self.local.pending {
            self.apply(&burnt)?;
        }
        for round in 1.. {
            let mut import: Option<Import<'a>> = None;
            let mut state = self.tip.as_ref().map(|tip| tip.state.clone()).unwrap_or_default();
            burnt.extend(self.look(&mut import, &mut state)?);
            let joined = self.join(&mut import, &mut state, &std::mem::take(&mut peers), &mut burnt)?;
            if self.tip.as_ref().is_none_or(|tip| tip.state != state) {
                self.commit(&mut import, &joined.iter().map(|(_, tip)| tip).collect::<Vec<_>>(), state)?;
            }
            let joined: Vec<Peer> = joined.into_iter().map(|(peer, _)| peer).collect();
            self.replica.repository.joined(&joined)?;
            let again = self.apply(&burnt)?;
            if !again || round == MAX_ROUNDS {
                self.outcome.unfinished = again;
                return Ok(());
            }
        }
        unreachable!("the loop has an end")
    }

    /// What happened here. Returns the numbers that died of it.
    fn look(&mut self, import: &mut Option<Import<'a>>, state: &mut State) -> Result<Vec<Burnt>> {
        let (replica, told) = (self.replica, &mut *self.told);
        let mut take = |base: &[u8], mut contents: &[u8]| {
            if import.is_none() {
                *import = Some(replica.repository.import()?);
            }
            let (import, len) = (import.as_mut().expect("it was just begun"), contents.len() as u64);
            let added = import.mail(base, &mut contents, len)?.map(drop);
            added.map_err(|source| Error::Io { path: replica.path.clone(), doing: "cannot add mail to", source })
        };
        let scanner = Scanner {
            root: &replica.root,
            manner: &self.plan.manner,
            me: replica.id,
            local: &self.local,
            told: &mut |path, owner| told(Step::Waits(path, owner)),
            progress: self.progress,
            found: Scan::default(),
        };
        let scan = scanner.scan(state, &mut take)?;
        let Scan { folders, added, flags, moved, removed, held, stays, reports, unreadable, burnt, .. } = scan;
        self.local.folders = folders;
        let outcome = &mut *self.outcome;
        outcome.sent += added;
        outcome.sent_flags += flags;
        outcome.sent_moved += moved;
        outcome.sent_removed += removed;
        outcome.held.extend(held);
        outcome.stays.extend(stays);
        outcome.reports.extend(reports);
        outcome.failed.extend(unreadable);
        Ok(burnt)
    }

    /// Joins what others have told.
    fn join(
        &mut self,
        import: &mut Option<Import<'a>>,
        state: &mut State,
        peers: &[Peer],
        burnt: &mut Vec<Burnt>,
    ) -> Result<Vec<(Peer, Tip)>> {
        let mut joined: Vec<(Peer, Tip)> = Vec::new();
        for peer in peers {
            let repository = &self.replica.repository;
            let read = repository.read_beside(peer.commit, &mut self.shared).and_then(|theirs| {
                let verified = self.tip.iter().chain(joined.iter().map(|(_, tip)| tip));
                let known = |guid| verified.clone().find_map(|tip| tip.contents_of(guid));
                peer::check(repository, state, &known, &theirs).map(|()| theirs)
            });
            let theirs = match read {
                Ok(theirs) => theirs,
                // One bad peer keeps nobody from the others.
                Err(error) => {
                    self.outcome.failed.push(error.of_replica(peer.replica));
                    continue;
                }
            };
            let is_first = !state.versions.keys().any(|id| theirs.state.versions.contains_key(id));
            let pairs = if is_first && !state.mails.is_empty() {
                // Contents are compared by the names that git has for them.
                let so_far: Vec<&Tip> = joined.iter().map(|(_, tip)| tip).collect();
                self.commit(import, &so_far, state.clone())?;
                let own = self.tip.as_ref().expect("it was just made");
                meet(own, &theirs)
            } else {
                Vec::new()
            };
            let to_unify = decide(self.plan.same_content, &pairs, &self.replica.root)?;
            let merged = merge(state, &theirs.state, self.plan.manner.numbering)?;
            *state = merged.state;
            burnt.extend(merged.burnt);
            for pair in to_unify.then_some(&pairs).into_iter().flatten() {
                pair.unify(self.replica.id, state, &mut self.local.folders);
            }
            joined.push((peer.clone(), theirs));
        }
        Ok(joined)
    }

    fn commit(&mut self, import: &mut Option<Import<'a>>, joined: &[&Tip], state: State) -> Result<()> {
        let (replica, dir) = (self.replica, self.replica.own());
        self.local.follows = self.tip.as_ref().map(|tip| tip.commit.to_string()).unwrap_or_default();
        self.local.pending = true;
        self.local.prepare(&dir)?;
        let import = match import.take() {
            Some(import) => import,
            None => replica.repository.import()?,
        };
        if let Some(tip) = import.commit(replica.id, self.tip.as_ref(), joined, state)? {
            Local::confirm(&dir)?;
            self.tip = Some(tip);
        }
        Ok(())
    }

    /// Does what the own state says. Whether others were quicker, and all has to be looked at again.
    fn apply(&mut self, burnt: &[Burnt]) -> Result<bool> {
        let Some(tip) = &self.tip else { return Ok(false) };
        let (replica, told) = (self.replica, &mut *self.told);
        let mut supply = |guids: &[Guid], each: &mut dyn FnMut(Guid, &mut dyn Read) -> Result<()>| {
            if guids.is_empty() { Ok(()) } else { replica.repository.mails(&[tip], guids, each) }
        };
        let applied = Apply {
            root: &replica.root,
            manner: &self.plan.manner,
            state: &tip.state,
            folders: &mut self.local.folders,
            supply: &mut supply,
            trash: &replica.trash(),
            told: &mut |path, owner| told(Step::Waits(path, owner)),
            progress: self.progress,
            done: Applied::default(),
            all_held: false,
        }
        .run();
        let is_whole = !applied.again && applied.failed.is_empty() && applied.held.is_empty();
        self.local.pending = !is_whole;
        self.local.save(&replica.own())?;
        let state = &tip.state;
        let outcome = &mut *self.outcome;
        for (folder, guid, old, new) in applied.renumbered {
            let is_it = |burnt: &&Burnt| (burnt.folder, burnt.guid, burnt.old) == (folder, guid, old);
            let why =
                burnt.iter().find(is_it).map_or("it was given to another mail elsewhere", |burnt| match burnt.why {
                    Why::OtherMail(_) => "it was given to another mail elsewhere",
                    Why::Dead => "it is dead elsewhere",
                    Why::UidValidity => "UIDVALIDITY is another one",
                });
            let folder = state.folders[&folder].name.clone();
            let base = state.mails.get(&guid).map(|mail| mail.base.clone()).unwrap_or_default();
            outcome.burnt.push(Lost { folder, base, old, new, why });
        }
        outcome.received += applied.received;
        outcome.flags += applied.flags;
        outcome.moved += applied.moved;
        outcome.removed += applied.removed;
        outcome.made += applied.made;
        outcome.unmade += applied.unmade;
        outcome.other_validity.extend(applied.other_validity);
        outcome.held.extend(applied.held);
        outcome.reports.extend(applied.reports);
        outcome.failed.extend(applied.failed);
        Ok(applied.again)
    }
}
