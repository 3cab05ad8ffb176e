//! Mail that comes to a folder, and the numbers that it gets: exactly those that the state gives it.
//!
//! All is done under the lock of the folder, before any refresh: whole and durable in `tmp/`, then linked, then given its
//! number by a new generation of the index, as a list of UIDs is taken up. Who is killed in between leaves files that the
//! next run finds in place. If a number was given out here meanwhile nothing is done: the two must be joined first.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::folder::{Folder, Setting};
use crate::format::Uid;
use crate::format::status::Status;
use crate::index::Index;
use crate::lock::Lock;
use crate::maildir::draft::Draft;
use crate::maildir::listing::Listing;
use crate::maildir::name::{Name, base_of, canonical, own_fields, stem};
use crate::maildir::{Maildir, Sub, open_mail};
use crate::ops::build::{OnProgress, Options, Progress};
use crate::ops::list::message;
use crate::ops::names::{Names, Wanted};
use crate::refresh::{Answer, adopt, adopt_anew, refresh_after};
use crate::sync::apply::Apply;
use crate::sync::local::{Known, LocalFolder, Shown};
use crate::sync::scan::{guid_of, is_base};
use crate::sync::state::{FolderId, Guid, Mail, State};
use crate::uidlist::{Format, Line, UidList};

/// Mails that are made durable together; each has an open file until then.
const BATCH: usize = 200;

/// Mails that are put in place under one lock.
const TURN: usize = 20_000;

/// A mail that is to be in a folder under a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub guid: Guid,
    /// None if the folder gives it one of its own.
    pub number: Option<u32>,
    pub source: Source,
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// In the folder, under another number.
    Here(u32),
    /// In another folder, or in the repository.
    Away,
}

/// Which numbers mail gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// What the folder gives it, as other programs' mail.
    Own,
    /// Those of the state.
    Given,
    /// Those of the state, under another UIDVALIDITY.
    Anew,
}

/// Reads mails from the repository, and hands each on.
pub(super) type Supply<'s> =
    &'s mut dyn FnMut(&[Guid], &mut dyn FnMut(Guid, &mut dyn Read) -> Result<()>) -> Result<()>;

/// A mail that another folder here has.
struct Here {
    contents: Vec<u8>,
    received: SystemTime,
    sub: Sub,
}

/// What it takes to put mail into a folder, under its lock.
struct Placing<'a> {
    root: &'a Path,
    setting: &'a Setting,
    state: &'a State,
    folders: &'a BTreeMap<FolderId, LocalFolder>,
    supply: Supply<'a>,
    id: FolderId,
    numbers: Numbers,
    /// Mail that other folders here have.
    elsewhere: HashMap<Guid, (FolderId, u32)>,
    /// The folder that was read from last.
    open: Option<(FolderId, Folder)>,
    /// Each mail by the base name of its file.
    bases: Vec<(Arrival, Vec<u8>)>,
    /// A number is taken.
    clash: bool,
    /// Of mail that came so many were in another folder here.
    moved: usize,
    received: usize,
}

impl Apply<'_> {
    /// Puts mail into a folder and gives numbers. Under one lock if there is not very much of it.
    pub(super) fn arrive(&mut self, id: FolderId, mut arrivals: Vec<Arrival>, numbers: Numbers) -> Result<()> {
        arrivals.sort_unstable_by_key(|arrival| (arrival.number.unwrap_or(u32::MAX), arrival.guid));
        let turn_len = if numbers == Numbers::Anew { usize::MAX } else { TURN };
        let mut rest = &*arrivals;
        loop {
            let (turn, later) = rest.split_at(rest.len().min(turn_len));
            if !self.turn(id, turn, numbers, later.is_empty())? || later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }

    /// Whether the next turn can follow.
    fn turn(&mut self, id: FolderId, arrivals: &[Arrival], numbers: Numbers, is_last: bool) -> Result<bool> {
        let path = self.path(id);
        let folder = Folder::open_with(&path, self.manner.setting)?;
        let there = &self.state.folders[&id];
        let upto =
            arrivals.iter().filter_map(|arrival| arrival.number).next_back().map_or(there.uid_next, |last| last + 1);
        let uid_next = u64::from(if is_last { there.uid_next } else { upto });
        let wanted: HashSet<Guid> = arrivals.iter().map(|arrival| arrival.guid).collect();
        let mut elsewhere = HashMap::new();
        for (other, folder) in self.folders.iter().filter(|(other, _)| **other != id) {
            let here = folder.mails.iter().filter_map(|(uid, known)| Some((known.guid?, *uid)));
            elsewhere.extend(here.filter(|(guid, _)| wanted.contains(guid)).map(|(guid, uid)| (guid, (*other, uid))));
        }
        let mut placing = Placing {
            root: self.root,
            setting: self.manner.setting,
            state: self.state,
            folders: self.folders,
            supply: self.supply,
            id,
            numbers,
            elsewhere,
            open: None,
            bases: Vec::new(),
            clash: false,
            moved: 0,
            received: 0,
        };
        let told = &mut *self.told;
        let report = refresh_after(
            "sync",
            &folder,
            Options::default(),
            self.manner.wait,
            &mut |owner| told(&path, owner),
            self.progress,
            &mut |lock, progress| placing.put(&folder, lock, arrivals, uid_next, progress),
        )?;
        let Placing { bases, clash, moved, received, .. } = placing;
        self.done.again |= clash;
        if clash {
            return Ok(false);
        }
        self.done.reports.push((path, report));
        self.done.moved += moved;
        self.done.received += received;
        let found = self.uids_of(id, bases.iter().map(|(arrival, base)| (arrival.guid, base.clone())))?;
        let uids: HashMap<Guid, (u32, Known)> =
            found.into_iter().filter_map(|(uid, known)| Some((known.guid?, (uid, known)))).collect();
        let here = self.folders.get_mut(&id).expect("the folder that is filled");
        if numbers == Numbers::Anew {
            self.done.other_validity.push((
                self.root.join(OsStr::from_bytes(&here.name)),
                here.uid_validity,
                there.uid_validity,
            ));
            // Mail that stays here is met again as new.
            here.mails = Arc::default();
        }
        for (arrival, _) in &bases {
            let Some((uid, known)) = uids.get(&arrival.guid) else { continue };
            let mut known = *known;
            if let Source::Here(old) = arrival.source {
                // What its name said is still what is known.
                known.shown = here.mails_mut().remove(&old).map_or(known.shown, |before| before.shown);
                if old != *uid && numbers != Numbers::Anew {
                    self.done.renumbered.push((id, arrival.guid, old, *uid));
                }
            }
            here.mails_mut().insert(*uid, known);
        }
        Ok(true)
    }
}

impl Placing<'_> {
    fn put(
        &mut self,
        folder: &Folder,
        lock: &Lock,
        arrivals: &[Arrival],
        uid_next: u64,
        progress: OnProgress<'_>,
    ) -> Result<ControlFlow<()>> {
        let _ = progress(Progress { done: 0, total: arrivals.len() });
        self.name(folder, arrivals)?;
        let is_given = self.numbers != Numbers::Own;
        if self.numbers == Numbers::Given && self.clashes(folder)? {
            self.clash = true;
            return Ok(ControlFlow::Break(()));
        }
        self.place_all(folder, progress)?;
        if is_given {
            let lines = self.bases.iter().filter_map(|(arrival, base)| {
                let uid = Uid::new(arrival.number?)?;
                Some(Line { uid, base: Cow::Borrowed(&**base), fields: b"" })
            });
            let uid_validity = self.state.folders[&self.id].uid_validity;
            let list = UidList { format: Format::Tsv, uid_validity, uid_next, fields: b"", lines: lines.collect() };
            let take = if self.numbers == Numbers::Anew { adopt_anew } else { adopt };
            match take(folder, &list, lock, &mut |_| ControlFlow::Continue(()))? {
                Answer::Adopted(_) => {}
                Answer::Refused(_) | Answer::CalledOff => self.clash = true,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Finds out how the files are called, or will be: the base name that the mail has elsewhere, or, if another mail has
    /// that here, one that follows from what the mail is.
    fn name(&mut self, folder: &Folder, arrivals: &[Arrival]) -> Result<()> {
        let maildir = folder.maildir();
        let mut taken: HashMap<&[u8], (Sub, Vec<u8>)> = HashMap::new();
        let away = || arrivals.iter().filter(|arrival| arrival.source == Source::Away).map(|arrival| arrival.guid);
        let others: HashMap<Guid, Vec<u8>> = away().map(|guid| (guid, self.other_base(guid))).collect();
        let state = self.state;
        let wanted: HashSet<&[u8]> =
            away().map(|guid| &*state.mails[&guid].base).chain(others.values().map(|base| &**base)).collect();
        if !wanted.is_empty() {
            for sub in Sub::ALL {
                for listed in Listing::read(&maildir.sub(sub)?)?.iter() {
                    if let Some(base) = wanted.get(base_of(listed.name)) {
                        taken.insert(base, (sub, listed.name.to_vec()));
                    }
                }
            }
        }
        let mut index = Index::open(folder.dir(), false)?;
        for arrival in arrivals {
            let base = match arrival.source {
                Source::Here(uid) => {
                    let Some(index) = &mut index else { continue };
                    let snapshot = index.snapshot()?;
                    let Some(slot) = Uid::new(uid).map(|uid| snapshot.find_uid(uid)).transpose()?.flatten() else {
                        continue;
                    };
                    snapshot.index().entries()?.read(&slot)?.base.to_vec()
                }
                Source::Away => {
                    let base = &self.state.mails[&arrival.guid].base;
                    let free = |base: &[u8]| match taken.get(base) {
                        None => true,
                        // By a run that was killed, or by another program.
                        Some((sub, name)) => self.is_it(maildir, *sub, name, arrival.guid),
                    };
                    if free(base) { base.clone() } else { others[&arrival.guid].clone() }
                }
            };
            let source = if taken.contains_key(&*base) { Source::Here(0) } else { arrival.source };
            let source = if arrival.source == Source::Away { source } else { arrival.source };
            self.bases.push((Arrival { source, ..*arrival }, base));
        }
        Ok(())
    }

    /// The base name that a mail gets where another one has its own.
    fn other_base(&self, guid: Guid) -> Vec<u8> {
        let base = &self.state.mails[&guid].base;
        [stem(base), b".", &guid.to_string().as_bytes()[..16], &own_fields(base)].concat()
    }

    /// Whether a file is a mail that the state knows.
    fn is_it(&self, maildir: &Maildir, sub: Sub, name: &[u8], guid: Guid) -> bool {
        let mut contents = Vec::new();
        let opened = maildir.sub(sub).ok().and_then(|dir| open_mail(&dir, name).ok());
        opened.is_some_and(|(mut file, _)| file.read_to_end(&mut contents).is_ok())
            && guid_of(&self.state.mails[&guid].base, &contents) == guid
    }

    /// Whether a number that is to be given was given to another mail here.
    fn clashes(&self, folder: &Folder) -> Result<bool> {
        let Some(mut index) = Index::open(folder.dir(), false)? else { return Ok(false) };
        let last = index.last_given()?;
        if last == 0 {
            return Ok(false);
        }
        let snapshot = index.snapshot()?;
        let mut entries = snapshot.index().entries()?;
        for (arrival, base) in &self.bases {
            let Some(uid) = arrival.number.and_then(Uid::new).filter(|uid| uid.get() <= last) else { continue };
            let slot = snapshot.find_uid(uid)?;
            let is_its = match slot {
                Some(slot) => !slot.status()?.has(Status::EXPUNGED) && entries.read(&slot)?.base == base,
                None => false,
            };
            if !is_its {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes what is not there, and links it when all of a batch is durable.
    fn place_all(&mut self, folder: &Folder, progress: OnProgress<'_>) -> Result<()> {
        let maildir = folder.maildir();
        let mut batch = Batch { maildir, dirs: [maildir.sub(Sub::New)?, maildir.sub(Sub::Cur)?], drafts: Vec::new() };
        let away: HashMap<Guid, Vec<u8>> = self
            .bases
            .iter()
            .filter(|(arrival, _)| arrival.source == Source::Away)
            .map(|(arrival, base)| (arrival.guid, base.clone()))
            .collect();
        if let Some(base) = away.values().find(|base| !is_base(base)) {
            let found =
                format!("another replica has a mail of a name that cannot be one here: {}", base.escape_ascii());
            return Err(Error::Sync { path: folder.path().into(), found, advice: "rename it there".into() });
        }
        // What is begun is finished: the files are there, and their numbers are to follow.
        let (mut done, total) = (0, away.len());
        let mut tell = || {
            done += 1;
            let _ = progress(Progress { done, total });
        };
        let mut far = Vec::new();
        for (arrival, base) in std::mem::take(&mut self.bases) {
            if arrival.source == Source::Away {
                // Whatever is the matter with the one that is here, the repository has it, too.
                match self.fetch_here(arrival.guid).unwrap_or(None) {
                    Some(Here { contents, received, sub })
                        if guid_of(&self.state.mails[&arrival.guid].base, &contents) == arrival.guid =>
                    {
                        let shown = Shown::of_mail(&self.state.mails[&arrival.guid]);
                        let shown = Shown { cur: shown.cur || sub == Sub::Cur, ..shown };
                        batch.add(&mut &*contents, &base, shown, received)?;
                        self.moved += 1;
                        tell();
                    }
                    _ => far.push(arrival.guid),
                }
            }
            self.bases.push((arrival, base));
        }
        self.received += far.len();
        let (state, supply) = (self.state, &mut *self.supply);
        supply(&far, &mut |guid, contents| {
            let base = &away[&guid];
            let mail = &state.mails[&guid];
            batch.add(contents, base, Shown::of_mail(mail), delivered(mail))?;
            tell();
            Ok(())
        })?;
        batch.link()?;
        batch.dirs.iter().try_for_each(Dir::sync)
    }

    fn fetch_here(&mut self, guid: Guid) -> Result<Option<Here>> {
        let Some(&(other, uid)) = self.elsewhere.get(&guid) else { return Ok(None) };
        let path = self.root.join(OsStr::from_bytes(&self.folders[&other].name));
        let mut folder = match self.open.take() {
            Some((id, folder)) if id == other => folder,
            _ => Folder::open_with(&path, self.setting)?,
        };
        let maildir = Arc::clone(folder.maildir());
        let mut found = None;
        let snapshot = folder.complete_index()?.snapshot()?;
        if let Some(slot) = Uid::new(uid).map(|uid| snapshot.find_uid(uid)).transpose()?.flatten() {
            let wanted = Wanted::of(&message(&slot, &mut snapshot.index().entries()?)?);
            let (mut file, sub, name) = wanted.open(&maildir, &mut Names::default())?;
            let mut contents = Vec::new();
            let failed = |source| Error::Io { path: maildir.path_of(sub, &name), doing: "cannot read", source };
            file.read_to_end(&mut contents).map_err(failed)?;
            let received = file.metadata().and_then(|meta| meta.modified()).unwrap_or_else(|_| SystemTime::now());
            // A name without an info is one of new/.
            let sub = if Name::parse(&name).is_bare() { sub } else { Sub::Cur };
            found = Some(Here { contents, received, sub });
        }
        self.open = Some((other, folder));
        Ok(found)
    }
}

/// When a mail was delivered, where somebody has said so and that can be; else how its name begins.
fn delivered(mail: &Mail) -> SystemTime {
    let digits = mail.base.iter().take_while(|b| b.is_ascii_digit()).count();
    let named = || std::str::from_utf8(&mail.base[..digits]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let seconds = if mail.delivered > 0 { mail.delivered } else { named() };
    let now = SystemTime::now();
    let is_likely = |time: &SystemTime| seconds > 0 && *time <= now + Duration::from_hours(24);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(is_likely).unwrap_or(now)
}

/// Mails that become durable together, and are then put in place.
struct Batch<'m> {
    maildir: &'m Maildir,
    dirs: [Dir; 2],
    drafts: Vec<(Draft, Sub, Vec<u8>)>,
}

impl Batch<'_> {
    fn add(&mut self, contents: &mut dyn Read, base: &[u8], shown: Shown, received: SystemTime) -> Result<()> {
        let access = self.maildir.access();
        let sub = if shown.cur { Sub::Cur } else { Sub::New };
        let mut draft = Draft::begin(self.maildir, &access)?;
        draft.write(contents)?;
        draft.set(received, None)?;
        self.drafts.push((draft, sub, canonical(base, shown.flags, sub == Sub::New)));
        if self.drafts.len() == BATCH { self.link() } else { Ok(()) }
    }

    fn link(&mut self) -> Result<()> {
        if let Some((draft, ..)) = self.drafts.first() {
            draft.sync_all()?;
        }
        for (draft, sub, name) in self.drafts.drain(..) {
            draft.link_as(&self.dirs[sub as usize], &name).map_err(|errno| {
                let path = self.maildir.path_of(sub, &name);
                match errno {
                    Errno::EXIST => Error::KeepsChanging { path },
                    errno => Error::io("cannot put in place", path)(errno),
                }
            })?;
        }
        Ok(())
    }
}
