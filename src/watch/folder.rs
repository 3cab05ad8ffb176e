//! One folder that is watched.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::dir::FileId;
use crate::error::{Error, Result};
use crate::folder::{Folder, Setting};
use crate::format::header::Marks;
use crate::index::generation::generations;
use crate::lock::Wait;
use crate::maildir::Sub;
use crate::maildir::listing::Stamp;
use crate::network;
use crate::ops::changes::Token;
use crate::refresh::{Options, Report, is_fresh, refresh};
use crate::watch::bell::{Bell, Deaf, Role};
use crate::watch::trouble::Trouble;
use crate::watch::{Listener, POLL};

/// After this time without a change the stamps of the directories prove something; then one more refresh saves all
/// readers theirs.
const SETTLES_AFTER: Duration = Duration::from_millis(2100);

/// While others have the lock it is tried again, first soon, then not so often.
const FIRST_RETRY: Duration = Duration::from_millis(2);
const LAST_RETRY: Duration = Duration::from_millis(200);

/// After a refresh the folder is left alone for so many times as long as that took, that others get at it, too.
const REST: u32 = 2;

/// A folder, its index held open between two looks.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    /// For the bell, which knows directories by their absolute paths.
    absolute: PathBuf,
    at: usize,
    /// `None` while it is away.
    folder: Option<Folder>,
    /// Up to where everything has been told.
    token: Option<Token>,
    setting: Setting,
    /// The directories that are watched: the folder, `new/`, `cur/`, and that of the index if it is elsewhere.
    heard: [Option<FileId>; 4],
    is_polled: bool,
    /// When to look again.
    look_at: Option<Instant>,
    /// Not before this.
    rests_until: Option<Instant>,
    retry: Duration,
    /// Something happened that has not been taken up.
    rung: bool,
    /// The directories may be others.
    replaced: bool,
    /// The stamps at the last refresh.
    seen: [Option<Stamp>; 2],
    /// What the listener could not do. That ends the watching.
    fatal: Option<Error>,
    /// What was said: failures since all was well for the last time, and what stays as it is.
    failures: Vec<String>,
    notes: Vec<String>,
}

/// What came of a look.
enum Looked {
    /// The index shows the folder.
    Fresh,
    /// Somebody else has the lock.
    Busy,
}

impl Watched {
    pub(crate) fn new(path: &Path, at: usize, setting: Setting) -> Watched {
        Watched {
            path: path.to_path_buf(),
            absolute: std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
            at,
            folder: None,
            token: None,
            setting,
            heard: [None; 4],
            is_polled: false,
            look_at: None,
            rests_until: None,
            retry: FIRST_RETRY,
            rung: true,
            replaced: true,
            seen: [None; 2],
            fatal: None,
            failures: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Something happened.
    pub(crate) fn ring(&mut self) {
        self.rung = true;
        let now = Instant::now();
        self.look_by(self.rests_until.map_or(now, |until| until.max(now)));
    }

    /// Its directories, or its index, may be others now.
    pub(crate) fn ring_replaced(&mut self) {
        self.replaced = true;
        self.ring();
    }

    /// Somebody asks to close the index, or does so no more: then there is another one.
    pub(crate) fn attend(&mut self, listener: &mut dyn Listener) -> Result<()> {
        if let Err(error) = self.make_way(listener) {
            match self.fatal.take() {
                Some(error) => return Err(error),
                None => self.say(&Trouble::Failed(error), listener),
            }
        }
        self.ring();
        Ok(())
    }

    /// Whether the index is closed because somebody asks for that. Before it is closed everything is told: the next one
    /// may no longer know of messages that are gone. What had happened when somebody asked can be seen by now.
    fn make_way(&mut self, listener: &mut dyn Listener) -> Result<bool> {
        let Some(folder) = &mut self.folder else { return Ok(false) };
        if !folder.is_asked_to_close()? {
            folder.come_back();
            return Ok(false);
        }
        if !folder.is_closed() {
            let told = self.tell(listener);
            if let Some(folder) = &mut self.folder {
                folder.attend()?;
            }
            told?;
        }
        Ok(true)
    }

    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.look_at
    }

    fn look_by(&mut self, moment: Instant) {
        self.look_at = Some(self.look_at.map_or(moment, |at| at.min(moment)));
    }

    /// Opens the folder, watches it, and makes the index if there is none. From here on nothing is missed. An error is one
    /// for the caller: nobody wants to watch what is not there. Takes from the tokens the one of this folder.
    pub(crate) fn begin(
        &mut self,
        bell: &mut Bell,
        tokens: &mut Vec<Token>,
        listener: &mut dyn Listener,
    ) -> Result<()> {
        let mut folder = Folder::open_with(&self.path, &self.setting)?;
        if let Some(kind) = network::shared_kind(folder.maildir().root())? {
            self.is_polled = true;
            self.say(&Trouble::Remote { path: self.path.clone(), kind }, listener);
        }
        self.watch(&folder, bell, listener);
        self.replaced = false;
        loop {
            let done = self.bring(&mut folder, listener);
            let complete = folder.complete_index().map(|index| index.identity().id);
            match (done, complete) {
                (Ok(Looked::Fresh), Ok(_)) => break,
                (Ok(_), Ok(_) | Err(Error::Unfinished { .. } | Error::NoIndex { .. })) => {}
                // A folder that may only be read can be watched all the same.
                (Err(error), Ok(_)) => {
                    self.say(&Trouble::Failed(error), listener);
                    break;
                }
                (Err(error), Err(_)) | (Ok(_), Err(error)) => return Err(error),
            }
            std::thread::sleep(self.retry);
            self.retry = (self.retry * 2).min(LAST_RETRY);
        }
        let index = folder.complete_index()?;
        let id = index.identity().id;
        self.token = Some(match tokens.iter().position(|token| *token != Token::START && token.is_of(&id)) {
            Some(at) => tokens.swap_remove(at),
            None if tokens.contains(&Token::START) => Token::START,
            // What happened before now is not told.
            None => Token::of(&index.snapshot()?),
        });
        folder.stay_open()?;
        self.folder = Some(folder);
        Ok(())
    }

    /// Looks what has happened, takes it up, and tells it.
    pub(crate) fn look(&mut self, bell: &mut Bell, listener: &mut dyn Listener) -> Result<()> {
        self.look_at = None;
        match self.try_look(bell, listener) {
            Ok(Looked::Fresh) => (self.retry, self.rung) = (FIRST_RETRY, false),
            Ok(Looked::Busy) => {
                self.look_by(Instant::now() + self.retry);
                self.retry = (self.retry * 2).min(LAST_RETRY);
            }
            Err(error) if self.fatal.is_some() => return Err(self.fatal.take().unwrap_or(error)),
            Err(error) => {
                self.say(&Trouble::Failed(error), listener);
                self.look_by(Instant::now() + POLL);
            }
        }
        if self.is_polled {
            self.look_by(Instant::now() + POLL);
        }
        Ok(())
    }

    fn try_look(&mut self, bell: &mut Bell, listener: &mut dyn Listener) -> Result<Looked> {
        if std::mem::take(&mut self.replaced) || self.folder.is_none() || self.is_polled {
            // Until this has gone well.
            self.replaced = true;
            self.reopen(bell, listener)?;
            self.replaced = false;
        }
        if self.make_way(listener)? {
            return Ok(Looked::Busy);
        }
        match self.tell(listener) {
            Err(Error::Damaged(_) | Error::NoIndex { .. }) => {} // for the refresh to heal, if it can
            told => told?,
        }
        if listener.is_done() {
            return Ok(Looked::Fresh);
        }
        let looked = self.bring_up_to_date(listener)?;
        self.tell(listener)?;
        if let Looked::Fresh = looked {
            self.failures.clear();
        }
        Ok(looked)
    }

    /// Opens what the path leads to now, if that is another directory, and watches what is not watched yet.
    fn reopen(&mut self, bell: &mut Bell, listener: &mut dyn Listener) -> Result<()> {
        let now = rustix::fs::stat(&self.path).map_err(Error::io("cannot open", &self.path));
        let same = match (&now, &self.folder) {
            (Ok(now), Some(folder)) => folder.maildir().root().id_of(".")? == Some(FileId::from(now)),
            _ => false,
        };
        if !same {
            self.folder = None;
            let mut folder = Folder::open_with(&self.path, &self.setting)?;
            // A mount point, or somebody's new beginning: that is for a person to say.
            if !is_indexed(&mut folder)? {
                return Err(Error::NoIndex { path: self.path.clone() });
            }
            self.folder = Some(folder);
        }
        let mut folder = self.folder.take().expect("it was opened");
        self.watch(&folder, bell, listener);
        folder.stay_open()?; // it is watched already, so it is heard if somebody asks to close it
        self.folder = Some(folder);
        Ok(())
    }

    /// Watches the directories that are not those which are watched already.
    fn watch(&mut self, folder: &Folder, bell: &mut Bell, listener: &mut dyn Listener) {
        let root = folder.maildir().root();
        let mut places = vec![(self.absolute.clone(), root.id_of(".").ok().flatten(), Role::Folder(self.at))];
        places.extend(Sub::ALL.map(|sub| {
            (self.absolute.join(sub.as_str()), root.id_of(sub.as_str()).ok().flatten(), Role::Mail(self.at))
        }));
        if self.setting.index_dir.is_some() {
            let path = std::path::absolute(folder.dir().path()).unwrap_or_else(|_| folder.dir().path().to_path_buf());
            places.push((path, folder.dir().id().ok(), Role::Folder(self.at)));
        }
        for (at, (path, found, role)) in places.into_iter().enumerate() {
            if found.is_none() {
                self.heard[at] = None; // it comes with a ring of the folder
                continue;
            }
            if found == self.heard[at] {
                continue;
            }
            match bell.watch(&path, role) {
                Ok(()) => self.heard[at] = found,
                Err(Deaf::NotThere) => self.heard[at] = None,
                Err(deaf) => {
                    self.heard[at] = None;
                    // Without any inotify that was said already.
                    if deaf != Deaf::Instances {
                        self.say(&Trouble::deaf(self.path.clone(), &deaf), listener);
                    }
                    self.is_polled = true;
                }
            }
        }
    }

    /// Tells what has changed since the last time, if anything has.
    fn tell(&mut self, listener: &mut dyn Listener) -> Result<()> {
        let (Some(folder), Some(token)) = (&mut self.folder, &self.token) else { return Ok(()) };
        let index = folder.index()?;
        if !index.marks()?.has(Marks::COMPLETE) || Token::of(&index.snapshot()?) == *token {
            return Ok(());
        }
        match listener.changes(&self.path, folder, token) {
            Ok(token) => self.token = Some(token),
            Err(error @ Error::Damaged(_)) => return Err(error),
            // Who listens can no longer be told the truth, or does not listen any more.
            Err(error) => {
                self.fatal = Some(error);
                return Err(Error::KeepsChanging { path: self.path.clone() });
            }
        }
        Ok(())
    }

    /// Brings the index up to date, if it is not and nobody else has the lock.
    fn bring_up_to_date(&mut self, listener: &mut dyn Listener) -> Result<Looked> {
        let Some(mut folder) = self.folder.take() else { return Ok(Looked::Fresh) };
        let done = self.bring(&mut folder, listener);
        self.folder = Some(folder);
        done
    }

    fn bring(&mut self, folder: &mut Folder, listener: &mut dyn Listener) -> Result<Looked> {
        let before = stamps(folder)?;
        // Looked at already: there is mail that cannot be read, and stamps never prove anything.
        if !self.rung && self.seen == before {
            return Ok(Looked::Fresh);
        }
        match is_fresh(folder) {
            Ok(true) => return Ok(Looked::Fresh),
            // One that was taken away is not made again: it would be another one, and nobody has asked for it.
            Err(error @ Error::NoIndex { .. }) if self.token.is_some() && generations(folder.dir())?.is_empty() => {
                return Err(error);
            }
            Ok(false) | Err(Error::Damaged(_) | Error::NoIndex { .. }) => {}
            Err(error) => return Err(error),
        }
        let begun = Instant::now();
        let report = match refresh_at_once(folder, listener) {
            Ok(report) => report,
            Err(Error::Locked { .. } | Error::KeepsChanging { .. } | Error::LockLost { .. }) => {
                return Ok(Looked::Busy);
            }
            Err(error) => return Err(error),
        };
        listener.report(&self.path, &report);
        let now = Instant::now();
        self.rests_until = Some(now + REST * (now - begun));
        // Stamps that are new prove nothing yet. If they are the same the next time they never will: a clock went backwards.
        if self.seen != before && before.iter().flatten().any(|stamp| !stamp.settled) {
            self.look_by(now + SETTLES_AFTER);
        }
        self.seen = before;
        Ok(Looked::Fresh)
    }

    /// Says something, unless it was said already.
    fn say(&mut self, trouble: &Trouble, listener: &mut dyn Listener) {
        let said = if let Trouble::Failed(_) = trouble { &mut self.failures } else { &mut self.notes };
        let text = trouble.to_string();
        if !said.contains(&text) {
            listener.trouble(trouble);
            said.push(text);
        }
    }
}

/// Refreshes if nobody else has the lock. Nobody is asked for it: whoever has it may be doing the same.
fn refresh_at_once(folder: &Folder, listener: &mut dyn Listener) -> Result<Report> {
    let options = Options { heal: true, uncounted: true, ..Options::default() };
    listener.at_work();
    let progress = &mut |progress| listener.progress(progress);
    let done = refresh(folder, options, Wait::For(Duration::ZERO), &mut |_| (), progress);
    listener.at_rest();
    done
}

/// Whether there is an index, or what is left of one.
fn is_indexed(folder: &mut Folder) -> Result<bool> {
    match folder.index() {
        Ok(_) | Err(Error::Damaged(_)) => Ok(true),
        Err(Error::NoIndex { .. }) => Ok(!generations(folder.dir())?.is_empty()),
        Err(error) => Err(error),
    }
}

fn stamps(folder: &Folder) -> Result<[Option<Stamp>; 2]> {
    let root = folder.maildir().root();
    Ok([Stamp::now(root, Sub::New)?, Stamp::now(root, Sub::Cur)?])
}
