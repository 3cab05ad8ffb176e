//! What wakes a watcher: inotify, changes of what is mounted, and whoever rings by hand.
//!
//! A ring says "look soon", and nothing else. Events of inotify are lost when its queue overflows, they come unpaired, and
//! other machines cause none; so nothing is ever concluded from one. Rings that nobody has heard yet are one ring, so a
//! burst of renames costs no memory.
//!
//! Most of what `notify` reports is of no interest, and some of it would have two watchers wake each other for ever: it
//! asks for every opening and closing, and whoever looks at a folder opens files.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use notify::event::{CreateKind, Event, EventKind, ModifyKind, RenameMode};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::index::OFFSETS;
use crate::lock::CLOSE;
use crate::maildir::Sub;

/// What has rung since it was last heard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rung {
    /// Folders in which something happened.
    pub(crate) folders: BTreeSet<usize>,
    /// Folders whose directories, or whose index, may be others now.
    pub(crate) replaced: BTreeSet<usize>,
    /// Folders that somebody asks to close, or not to any more.
    pub(crate) closing: BTreeSet<usize>,
    /// Events were lost.
    pub(crate) overflow: bool,
    /// Something was mounted or unmounted, anywhere.
    pub(crate) mounts: bool,
    /// A directory was made in one that may hold folders.
    pub(crate) directories: bool,
    /// It is time to end.
    pub(crate) end: bool,
}

/// What a directory is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `new/` or `cur/` of a folder.
    Mail(usize),
    /// A folder.
    Folder(usize),
    /// Only for folders that are made in it.
    Above,
}

/// Rings, and can be waited for.
#[derive(Debug)]
pub(crate) struct Bell {
    shared: Arc<Shared>,
    /// `None` where there is no inotify to be had.
    inotify: Option<RecommendedWatcher>,
}

/// Lets others ring: who notices that it is time to end.
#[derive(Debug, Clone)]
pub struct Ringer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    rung: Mutex<Rung>,
    rings: Condvar,
    roles: Mutex<HashMap<PathBuf, Role>>,
}

/// Why a directory cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deaf {
    /// The user has too many inotify instances already.
    Instances,
    /// The user watches too many directories already.
    Watches,
    /// It is not there.
    NotThere,
    /// Something else.
    Other(String),
}

impl Ringer {
    /// It is time to end.
    pub fn end(&self) {
        self.0.ring(|rung| rung.end = true);
    }
}

impl Shared {
    fn rung(&self) -> MutexGuard<'_, Rung> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn roles(&self) -> MutexGuard<'_, HashMap<PathBuf, Role>> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, what: impl FnOnce(&mut Rung)) {
        let mut rung = self.rung();
        what(&mut rung);
        if *rung != Rung::default() {
            self.rings.notify_all();
        }
    }

    fn hear(&self, event: &Event) {
        if event.need_rescan() {
            self.ring(|rung| rung.overflow = true);
            return;
        }
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        let roles = self.roles();
        for path in &event.paths {
            if let Some(&role) = roles.get(path) {
                self.ring(|rung| itself(role, event.kind, rung));
            }
            let name = path.file_name().unwrap_or_default();
            if let Some(&role) = path.parent().and_then(|parent| roles.get(parent)) {
                self.ring(|rung| inside(role, name, event.kind, rung));
            }
        }
    }
}

/// Something happened to a watched directory itself: it was removed or renamed, or its times or mode were set.
fn itself(role: Role, kind: EventKind, rung: &mut Rung) {
    let (Role::Mail(folder) | Role::Folder(folder)) = role else { return };
    if let (Role::Mail(_), EventKind::Modify(ModifyKind::Metadata(_))) = (role, kind) {
        rung.folders.insert(folder);
    } else if !matches!(kind, EventKind::Modify(ModifyKind::Metadata(_))) {
        rung.replaced.insert(folder);
    }
}

/// Something happened to a name in a watched directory.
fn inside(role: Role, name: &OsStr, kind: EventKind, rung: &mut Rung) {
    let arrives = matches!(
        kind,
        EventKind::Create(CreateKind::Folder) | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both))
    );
    let is_metadata = matches!(kind, EventKind::Modify(ModifyKind::Metadata(_)));
    match role {
        Role::Mail(folder) => drop(rung.folders.insert(folder)),
        Role::Folder(folder) if is_metadata && name == CLOSE => drop(rung.closing.insert(folder)),
        Role::Folder(_) if is_metadata => {} // the directory rings for itself
        Role::Folder(folder) if Sub::ALL.iter().any(|sub| name == sub.as_str()) => drop(rung.replaced.insert(folder)),
        // Our other files say nothing: the lockfile comes and goes with each writer, and stores into a map ring no bell.
        Role::Folder(folder) if name == OFFSETS && arrives => drop(rung.replaced.insert(folder)),
        Role::Folder(_) | Role::Above => {
            rung.directories |= arrives && !name.as_encoded_bytes().starts_with(b"maildex.");
        }
    }
}

impl Bell {
    /// A bell, and why it hears nothing of what happens in directories, if it does not.
    pub(crate) fn new() -> (Bell, Option<Deaf>) {
        let shared = Arc::new(Shared::default());
        let hearer = Arc::clone(&shared);
        let hear = move |event: notify::Result<Event>| match event {
            Ok(event) => hearer.hear(&event),
            Err(_) => hearer.ring(|rung| rung.overflow = true), // whatever was lost by that
        };
        let (inotify, deaf) = match notify::recommended_watcher(hear) {
            Ok(inotify) => (Some(inotify), None),
            Err(error) => (None, Some(Deaf::of(&error))),
        };
        let bell = Bell { shared, inotify };
        bell.hear_mounts();
        (bell, deaf)
    }

    pub(crate) fn ringer(&self) -> Ringer {
        Ringer(Arc::clone(&self.shared))
    }

    /// Watches a directory, by an absolute path. One that was watched under this path is so no more.
    pub(crate) fn watch(&mut self, path: &Path, role: Role) -> Result<(), Deaf> {
        let inotify = self.inotify.as_mut().ok_or(Deaf::Instances)?;
        if self.shared.roles().insert(path.to_path_buf(), role).is_some() {
            let _ = inotify.unwatch(path); // it may have ended by itself
        }
        inotify.watch(path, RecursiveMode::NonRecursive).map_err(|error| Deaf::of(&error))
    }

    /// Waits until it rings, or until a moment; for ever if that is `None`.
    pub(crate) fn wait(&self, until: Option<Instant>) -> Rung {
        let mut rung = self.shared.rung();
        while *rung == Rung::default() {
            rung = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.shared.rings.wait(rung).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.shared.rings.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        std::mem::take(&mut rung)
    }

    /// inotify says nothing when a file system is taken away lazily, or another one covers a directory. The kernel tells
    /// whoever polls the list of mounts. Without that such a thing is noticed at the next event.
    fn hear_mounts(&self) {
        let Ok(mounts) = File::open("/proc/self/mountinfo") else { return };
        let shared = Arc::clone(&self.shared);
        let listen = move || {
            loop {
                let mut fds = [PollFd::from_borrowed_fd(mounts.as_fd(), PollFlags::PRI)];
                match rustix::event::poll(&mut fds, None) {
                    Ok(_) => shared.ring(|rung| rung.mounts = true),
                    Err(Errno::INTR) => {}
                    Err(_) => return,
                }
            }
        };
        let _ = std::thread::Builder::new().name("maildex-mounts".into()).spawn(listen);
    }
}

impl Deaf {
    fn of(error: &notify::Error) -> Deaf {
        match &error.kind {
            ErrorKind::MaxFilesWatch => Deaf::Watches,
            ErrorKind::PathNotFound => Deaf::NotThere,
            ErrorKind::Io(error) => match Errno::from_io_error(error) {
                Some(Errno::MFILE) => Deaf::Instances,
                Some(Errno::NOENT) => Deaf::NotThere,
                _ => Deaf::Other(error.to_string()),
            },
            _ => Deaf::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{AccessKind, AccessMode, DataChange, MetadataKind, RemoveKind};

    /// What rings when this happens at these paths.
    fn rung(kind: EventKind, paths: &[&str]) -> Rung {
        let shared = Shared::default();
        for (path, role) in [
            ("/m", Role::Folder(0)),
            ("/m/cur", Role::Mail(0)),
            ("/m/.Sent", Role::Folder(1)),
            ("/m/.Sent/new", Role::Mail(1)),
            ("/", Role::Above),
        ] {
            shared.roles().insert(path.into(), role);
        }
        let paths = paths.iter().map(PathBuf::from).collect();
        shared.hear(&Event { kind, paths, ..Event::default() });
        std::mem::take(&mut shared.rung())
    }

    fn folders(folders: &[usize]) -> Rung {
        Rung { folders: folders.iter().copied().collect(), ..Rung::default() }
    }

    fn replaced(folder: usize) -> Rung {
        Rung { replaced: BTreeSet::from([folder]), ..Rung::default() }
    }

    const RENAMED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const TOUCHED: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));

    #[test]
    fn mail_that_changes_rings() {
        assert_eq!(rung(RENAMED, &["/m/cur/1:2,", "/m/cur/1:2,S"]), folders(&[0]));
        assert_eq!(rung(RENAMED, &["/m/cur/1:2,", "/m/.Sent/new/1:2,S"]), folders(&[0, 1]));
        for kind in [WRITTEN, TOUCHED, EventKind::Remove(RemoveKind::File)] {
            assert_eq!(rung(kind, &["/m/.Sent/new/1"]), folders(&[1]), "{kind:?}");
        }
        assert_eq!(rung(TOUCHED, &["/m/cur"]), folders(&[0]), "its times were put back");
    }

    #[test]
    fn what_other_watchers_do_rings_no_bell() {
        for kind in [AccessKind::Open(AccessMode::Any), AccessKind::Close(AccessMode::Read)] {
            for path in ["/m/cur/1:2,", "/m/cur", "/m", "/m/maildex.offsets"] {
                assert_eq!(rung(EventKind::Access(kind), &[path]), Rung::default(), "{path}");
            }
        }
        for name in ["maildex.lock", "maildex.index.1", "maildex.offsets", "maildex.offsets.tmp", "maildex.ask"] {
            for kind in [WRITTEN, TOUCHED, EventKind::Create(CreateKind::File), EventKind::Remove(RemoveKind::File)] {
                assert_eq!(rung(kind, &[&format!("/m/{name}")]), Rung::default(), "{name} {kind:?}");
            }
        }
        assert_eq!(rung(WRITTEN, &["/m/dovecot-uidlist"]), Rung::default());
    }

    #[test]
    fn what_is_replaced_rings_otherwise() {
        assert_eq!(rung(RENAMED, &["/m/maildex.offsets.tmp", "/m/maildex.offsets"]), replaced(0));
        assert_eq!(rung(EventKind::Create(CreateKind::Folder), &["/m/cur"]), replaced(0));
        assert_eq!(rung(EventKind::Remove(RemoveKind::Folder), &["/m/.Sent/new"]), replaced(1));
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        assert_eq!(rung(moved, &["/m/.Sent"]), replaced(1));
        assert_eq!(rung(TOUCHED, &["/m"]), Rung::default());
    }

    #[test]
    fn who_asks_to_close_is_heard() {
        let closing = Rung { closing: BTreeSet::from([1]), ..Rung::default() };
        assert_eq!(rung(TOUCHED, &["/m/.Sent/maildex.close"]), closing);
        assert_eq!(rung(EventKind::Create(CreateKind::File), &["/m/maildex.close"]), Rung::default());
    }

    #[test]
    fn a_new_directory_may_be_a_folder() {
        for path in ["/m/.New", "/other"] {
            assert!(rung(EventKind::Create(CreateKind::Folder), &[path]).directories);
            assert!(!rung(EventKind::Create(CreateKind::File), &[path]).directories);
        }
    }

    #[test]
    fn lost_events_are_told() {
        let shared = Shared::default();
        shared.hear(&Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan));
        assert!(shared.rung().overflow);
    }
}
