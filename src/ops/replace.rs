//! New contents for a mail: another mail, under another UID, for what an entry says never changes.
//!
//! The new file is whole and durable in its place before the old one is taken away, so whoever is killed in between
//! leaves both, and never none. What fails leaves the folder as it was. Flags and time of delivery stay.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, Stat};

use crate::dir::{Access, Dir};
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::format::entry::Entry;
use crate::format::status::Status;
use crate::index::publish::Writer;
use crate::lock::{Owner, Wait};
use crate::maildir::draft::{Draft, TMP, Withdrawn, rename_new};
use crate::maildir::name::Name;
use crate::maildir::transfer::received;
use crate::maildir::{Maildir, Sub};
use crate::ops::build::{OnProgress, Options, Progress, Report, build};
use crate::ops::list::message;
use crate::ops::locate::{Inside, Locator, may_be_elsewhere};
use crate::ops::names::{Dirs, Names, Wanted};
use crate::ops::rename::Renamed;
use crate::query::message::MessageRef;
use crate::refresh::is_fresh;
use crate::refresh::read::read_one;

/// What was done.
#[derive(Debug)]
pub struct Replaced {
    /// The new message.
    pub message: Renamed,
    /// The UID that is dead now.
    pub was_uid: Uid,
    /// The index was brought up to date for it.
    pub refreshed: Option<Report>,
}

/// The new contents.
enum Contents<'c> {
    Unread(&'c mut dyn Read),
    Written(Draft),
    /// They have been in the folder.
    Placed,
}

/// Gives a message other contents. They are read to their end before anything is changed, and before the lock is taken.
/// If the message is not found, the index is brought up to date first.
pub fn replace(
    folder: &mut Folder,
    wanted: &MessageRef,
    contents: &mut dyn Read,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Replaced> {
    Inside::new(&Arc::clone(folder.maildir())).check([wanted])?;
    let mut contents = Contents::Unread(contents);
    let mut refreshed = None;
    loop {
        let done = the_one(folder, wanted).and_then(|uid| {
            contents.write(folder)?;
            let lock = folder.lock("replace", wait, told)?;
            let _ = progress(Progress { done: 0, total: 1 });
            let writer = Writer::new(folder.index_to_change()?, &lock)?;
            let message = put(folder.maildir(), writer, &mut contents, uid)?;
            lock.release()?;
            Ok((message, uid))
        });
        match done {
            Ok((message, was_uid)) => return Ok(Replaced { message, was_uid, refreshed }),
            Err(error) => {
                let is_placed = matches!(contents, Contents::Placed);
                if is_placed || refreshed.is_some() || !may_be_elsewhere(&error) || is_fresh(folder)? {
                    return Err(error);
                }
                refreshed = Some(build(folder, Options::default(), wait, told, progress)?);
            }
        }
    }
}

impl Contents<'_> {
    fn write(&mut self, folder: &Folder) -> Result<()> {
        let Contents::Unread(contents) = self else { return Ok(()) };
        let access = folder.maildir().access();
        let mut draft = Draft::begin(folder.maildir(), &Access { mode: Mode::RUSR | Mode::WUSR, ..access })?;
        if draft.write(contents)? == 0 {
            return Err(Error::NoContents { path: folder.path().to_path_buf() });
        }
        *self = Contents::Written(draft);
        Ok(())
    }
}

/// The one message that is meant.
fn the_one(folder: &mut Folder, wanted: &MessageRef) -> Result<Uid> {
    let maildir = Arc::clone(folder.maildir());
    let path = || maildir.path().to_path_buf();
    let snapshot = folder.complete_index()?.snapshot()?;
    let mut missing = None;
    let found = Locator::new(&maildir, snapshot).locate(&mut snapshot.index().entries()?, wanted, &mut |error| {
        missing.get_or_insert(error);
    })?;
    match (&*found, missing) {
        (_, Some(error)) => Err(error),
        (&[no], None) => snapshot.slot(no).expect("a slot of this snapshot").uid(),
        (several, None) => Err(Error::NotOne { path: path(), found: several.len() }),
    }
}

/// The mail as it is now: directory, name, and what `lstat` says of it.
type Found = (Sub, Vec<u8>, Stat);

fn put(maildir: &Maildir, mut writer: Writer<'_>, contents: &mut Contents<'_>, uid: Uid) -> Result<Renamed> {
    let gone = || Error::NoMessage { path: maildir.path().to_path_buf(), wanted: format!("with UID {uid}") };
    let mut entries = writer.index().entries()?;
    let slot = writer.snapshot()?.find_uid(uid)?.ok_or_else(gone)?;
    let message = message(&slot, &mut entries)?;
    if message.status.has(Status::EXPUNGED) {
        return Err(gone());
    }
    let (slot, wanted, mut names) = (slot.no(), Wanted::of(&message), Names::default());
    let (sub, old_name, stat) =
        names.reach(maildir, &wanted, |dirs, sub, name| look(maildir, dirs, &wanted, sub, name))?;
    let Contents::Written(draft) = std::mem::replace(contents, Contents::Placed) else {
        unreachable!("contents are written first, and never placed twice")
    };
    draft.finish(received(&stat), Some(Mode::from_raw_mode(stat.st_mode)))?;
    let (mut bytes, inode) = entry_of(&draft, uid).map_err(|source| Error::Io {
        path: maildir.path().join(TMP),
        doing: "cannot read the new mail in",
        source,
    })?;
    let dirs = Dirs::open(maildir)?;
    let info = Name::parse(&old_name).info.to_vec();
    let mut place = (sub, draft.place(open(maildir, &dirs, sub)?, &info)?);
    // From here on there are both; if the old one cannot be taken away the new one goes again.
    let taken = names.reach(maildir, &wanted, |dirs, sub, name| {
        let Some((sub, name, _)) = look(maildir, dirs, &wanted, sub, name)? else { return Ok(None) };
        Ok(Some((Withdrawn::take(maildir, open(maildir, dirs, sub)?, &name)?, sub, name)))
    });
    let (withdrawn, sub_then, name_then) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            Withdrawn::take(maildir, open(maildir, &dirs, place.0)?, &place.1)?;
            return Err(error);
        }
    };
    // Somebody may have changed its flags in between, and that counts.
    let base = Name::parse(&place.1).base.to_vec();
    let followed = (sub_then, [&base, Name::parse(&name_then).info].concat());
    if followed != place {
        let (from, to) = (open(maildir, &dirs, place.0)?, open(maildir, &dirs, followed.0)?);
        if rename_new(from, &place.1, to, &followed.1).is_ok() {
            place = followed;
        }
    }
    let hash = writer.index().identity().hash(&base);
    let status = Status::of_name(place.0, &Name::parse(&place.1));
    let entered = writer.add(&mut bytes, status, hash, inode).and_then(|new_uid| {
        writer.set_status(slot, Status::EXPUNGED);
        writer.finish().map(|()| new_uid)
    });
    match entered {
        Ok(new_uid) => {
            drop(withdrawn);
            let (sub, name) = place;
            Ok(Renamed { uid: new_uid, sub, name, from: None })
        }
        // A full disk, or no UID left: the folder is to be as it was. First the old one, so that there is one at any time.
        Err(error) => {
            withdrawn.put_back(open(maildir, &dirs, sub_then)?, &name_then)?;
            Withdrawn::take(maildir, open(maildir, &dirs, place.0)?, &place.1)?;
            Err(error)
        }
    }
}

/// The new mail's entry, read before it has a name that others could change; and its inode.
fn entry_of(draft: &Draft, was_uid: Uid) -> io::Result<(Vec<u8>, u64)> {
    let file = draft.reader()?;
    let inode = file.metadata()?.ino();
    let (size, received_ns, summary) = read_one(file)?;
    let mut bytes = Vec::new();
    let entry = Entry::new(draft.base().as_bytes(), received_ns, size, &summary);
    Entry { was_uid: Some(was_uid), ..entry }.write(&mut bytes);
    Ok((bytes, inode))
}

fn look(maildir: &Maildir, dirs: &Dirs, wanted: &Wanted, sub: Sub, name: &[u8]) -> Result<Option<Found>> {
    let stat = rustix::fs::statat(open(maildir, dirs, sub)?, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(Error::io("cannot stat", maildir.path_of(sub, name)))?;
    let is_it = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && wanted.is(&stat);
    Ok(is_it.then(|| (sub, name.to_vec(), stat)))
}

fn open<'d>(maildir: &Maildir, dirs: &'d Dirs, sub: Sub) -> Result<&'d Dir> {
    dirs.get(sub).map_err(Error::io("cannot open", maildir.path().join(sub.as_str())))
}
