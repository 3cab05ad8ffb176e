//! Watching folders: whatever others do to the mail is taken up at once, and told.
//!
//! A ring of the bell means "look soon". To look is what every refresh does: compare stamps by statx, and only if they
//! differ take the lock and list. So lost events cost nothing but time, and two watchers do not wake each other: what the
//! one does to the index rings no bell, and the other finds it fresh. Between two rings no system call is made and no
//! lock is held; events are told without the lock, too.
//!
//! The watches come first, then the first look. What is told begins with a token, so there is no gap between a listing
//! and the watching of what comes after it.
//!
//! Where the bell cannot ring (no inotify, other machines, a directory that is away) the watcher looks every now and then.

mod bell;
mod folder;
mod trouble;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::folder::{Folder, Setting};
use crate::ops::changes::Token;
use crate::refresh::{Progress, Report};
use crate::tree;

pub use bell::Ringer;
use bell::{Bell, Role, Rung};
use folder::Watched;
pub use trouble::Trouble;

/// How often to look where no bell rings.
pub const POLL: Duration = Duration::from_secs(2);

/// A directory that is made now may become a folder in a moment.
const BECOMES_A_FOLDER: Duration = Duration::from_secs(2);

/// Hears what a watcher has to say.
pub trait Listener {
    /// Tells the changes of a folder since a token, and returns the token after them. The lock is not held.
    fn changes(&mut self, path: &Path, folder: &mut Folder, since: &Token) -> Result<Token>;
    /// Hears what a refresh did and noticed.
    fn report(&mut self, path: &Path, report: &Report);
    /// Hears of trouble, of each once.
    fn trouble(&mut self, trouble: &Trouble);
    /// The lock is about to be tried, without waiting for it.
    fn at_work(&mut self);
    /// Hears how far a refresh is, and says whether to go on.
    fn progress(&mut self, progress: Progress) -> ControlFlow<()>;
    /// A refresh is over, and the lock is free.
    fn at_rest(&mut self);
    /// Whether enough has been told.
    fn is_done(&self) -> bool;
}

/// Watches folders until it is told to end.
#[derive(Debug)]
pub struct Watcher {
    bell: Bell,
    folders: Vec<Watched>,
    setting: Setting,
    /// Directories below which folders that come are watched, too.
    roots: Vec<PathBuf>,
    /// Directories that are watched for these only.
    above: HashSet<PathBuf>,
    /// When to look for new folders.
    find_at: Option<Instant>,
    trouble: Vec<Trouble>,
    said_overflow: bool,
}

impl Watcher {
    /// Watches folders, or if `recursive` all folders below.
    pub fn new(paths: &[PathBuf], recursive: bool, setting: &Setting) -> Result<Watcher> {
        let (bell, deaf) = Bell::new();
        let mut watcher = Watcher {
            bell,
            folders: Vec::new(),
            setting: setting.clone(),
            roots: Vec::new(),
            above: HashSet::new(),
            find_at: None,
            trouble: Vec::new(),
            said_overflow: false,
        };
        if let (Some(deaf), Some(first)) = (deaf, paths.first()) {
            watcher.trouble.push(Trouble::deaf(first.clone(), &deaf));
        }
        let mut found = paths.to_vec();
        if recursive {
            watcher.roots = std::mem::take(&mut found);
            found = watcher.find()?;
        }
        let mut seen = HashSet::new();
        found.retain(|path| seen.insert(path.clone()));
        watcher.folders = found.iter().enumerate().map(|(at, path)| Watched::new(path, at, setting.clone())).collect();
        Ok(watcher)
    }

    /// Lets another thread end the watching.
    pub fn ringer(&self) -> Ringer {
        self.bell.ringer()
    }

    /// Looks for folders below the roots, and returns the new ones. Watches what is above them for those that come.
    fn find(&mut self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for root in &self.roots {
            let tree = tree::find(root)?;
            for path in tree.others {
                if self.above.insert(path.clone())
                    && let Ok(absolute) = std::path::absolute(&path)
                {
                    // If that fails, what is made in there is found at the next look.
                    let _ = self.bell.watch(&absolute, Role::Above);
                }
            }
            found.extend(tree.folders);
            self.trouble.extend(tree.unreadable.into_iter().map(Trouble::Failed));
        }
        let known: HashSet<&Path> = self.folders.iter().map(Watched::path).collect();
        found.retain(|path| !known.contains(&**path));
        Ok(found)
    }

    /// Watches. Each of the tokens belongs to one of the folders, and what changed there since is told first; a folder
    /// without a token begins with what it is now. Returns when the listener is done, or when it is time to end.
    pub fn run(&mut self, mut tokens: Vec<Token>, listener: &mut dyn Listener) -> Result<()> {
        self.tell_trouble(listener);
        for watched in &mut self.folders {
            watched.begin(&mut self.bell, &mut tokens, listener)?;
        }
        if tokens.iter().any(|token| *token != Token::START) {
            let path = self.folders.first().map(|watched| watched.path().to_path_buf()).unwrap_or_default();
            return Err(Error::Token { path, why: "it is of another index" });
        }
        let mut due: Vec<usize> = (0..self.folders.len()).collect();
        loop {
            for at in due {
                self.folders[at].look(&mut self.bell, listener)?;
                if listener.is_done() {
                    return Ok(());
                }
            }
            let rung = self.bell.wait(self.next_look());
            if rung.end {
                return Ok(());
            }
            due = self.take(&rung, listener)?;
        }
    }

    fn tell_trouble(&mut self, listener: &mut dyn Listener) {
        self.trouble.drain(..).for_each(|trouble| listener.trouble(&trouble));
    }

    fn next_look(&self) -> Option<Instant> {
        self.folders.iter().filter_map(Watched::next_look).chain(self.find_at).min()
    }

    /// Which folders are to be looked at now.
    fn take(&mut self, rung: &Rung, listener: &mut dyn Listener) -> Result<Vec<usize>> {
        if rung.overflow && !std::mem::replace(&mut self.said_overflow, true) {
            listener.trouble(&Trouble::Overflow);
        }
        for (at, watched) in self.folders.iter_mut().enumerate() {
            if rung.overflow || rung.mounts || rung.replaced.contains(&at) {
                watched.ring_replaced();
            } else if rung.folders.contains(&at) {
                watched.ring();
            }
            if rung.closing.contains(&at) {
                watched.attend(listener)?;
            }
        }
        let is_time = self.find_at.is_some_and(|at| at <= Instant::now());
        if !self.roots.is_empty() && (rung.directories || is_time) {
            self.find_at = rung.directories.then(|| Instant::now() + BECOMES_A_FOLDER);
            self.take_new_folders(listener)?;
        }
        let now = Instant::now();
        let is_due = |at: &usize| self.folders[*at].next_look().is_some_and(|due| due <= now);
        Ok((0..self.folders.len()).filter(is_due).collect())
    }

    /// Folders that have been made since. All their mail is new.
    fn take_new_folders(&mut self, listener: &mut dyn Listener) -> Result<()> {
        for path in self.find()? {
            let mut watched = Watched::new(&path, self.folders.len(), self.setting.clone());
            match watched.begin(&mut self.bell, &mut vec![Token::START], listener) {
                Ok(()) => {
                    watched.ring();
                    self.folders.push(watched);
                }
                Err(error) => self.trouble.push(Trouble::Failed(error)),
            }
        }
        self.tell_trouble(listener);
        Ok(())
    }
}
