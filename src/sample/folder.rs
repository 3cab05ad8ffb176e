//! The sample as a folder: written by several threads, and made as new again without touching what is not of it.
//!
//! A marker file says what was made here, and is there before anything else is. A folder without one that holds anything
//! is never touched. In one with it every file is looked at before the first is changed: a message of the sample has its
//! base name and its contents, whatever flags it got meanwhile. If anything else is there, nothing is done.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::{KEYWORDS, Mail, Sample, VERSION};
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::index::generation;
use crate::lock::{Lock, Owner, Wait};
use crate::maildir::listing::Listing;
use crate::maildir::{Maildir, Sub, mtime_ns, open_mail};

/// Says what was made in a folder.
pub const MARKER: &str = "maildex.sample";

/// No sample has more messages.
pub const MESSAGES_MAX: u32 = 1_000_000;

const KEYWORDS_FILE: &str = "dovecot-keywords";
const TMP: &str = "tmp";

/// Messages that a thread takes at a time.
const CHUNK: usize = 64;

/// More do not help: a directory takes one new name at a time.
const THREADS_MAX: usize = 4;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Messages written.
    pub done: usize,
    /// Messages to write.
    pub total: usize,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    /// Messages written.
    pub written: usize,
    /// Messages that were there from an earlier sample.
    pub kept: usize,
}

/// Writes messages into a Maildir that is there. A file of the same name is an error, and never overwritten.
pub fn write(path: &Path, numbers: Range<u32>) -> Result<()> {
    let maildir = Maildir::new(Arc::new(Dir::open(path)?), false)?;
    let sample = Sample::new();
    write_some(&maildir, &sample, &numbers.collect::<Vec<_>>(), &mut |_| ())
}

/// Makes a folder of so many messages, without an index: at a path where there is nothing or an empty directory, or out
/// of a sample that was made before. Anything else there is [`Error::InTheWay`], and then nothing is changed. `wait` is for
/// whoever else may be writing there, and `told` hears who that is.
pub fn make(
    path: &Path,
    messages: u32,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: &mut dyn FnMut(Progress),
) -> Result<Made> {
    let is_new = match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(Error::io("cannot create", path)(errno)),
    };
    let dir = Arc::new(Dir::open(path)?);
    if Marker::read(&dir)?.is_none() {
        require_empty(&dir)?;
    }
    let maildir = Maildir::new(Arc::clone(&dir), true)?;
    let lock = Lock::acquire(&dir, "demo", wait, maildir.access(), told)?;
    let sample = Sample::new();
    let marker = Marker::read(&dir)?.unwrap_or_default();
    let found = Found::look(&maildir, &sample, marker, messages)?;
    // From here on things are changed. Until the last the marker covers what is there and what is to come.
    Marker { messages: messages.max(marker.messages) }.write(&maildir)?;
    for name in [Sub::New.as_str(), Sub::Cur.as_str(), TMP] {
        match rustix::fs::mkdirat(&*dir, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::io("cannot create", path.join(name))(errno)),
        }
    }
    let kept = found.restore(&maildir, &sample)?;
    Marker { messages }.write(&maildir)?;
    dir.unlink(KEYWORDS_FILE)?;
    write_file(&dir, KEYWORDS_FILE, KEYWORDS.as_bytes(), &maildir)?;
    let missing: Vec<u32> = (0..messages).filter(|&number| !kept[number as usize]).collect();
    write_some(&maildir, &sample, &missing, progress)?;
    lock.release()?;
    if is_new {
        // As if it had been there for a while: a first build waits where an index may just have been removed.
        let last = super::received_s(messages.saturating_sub(1));
        rustix::fs::futimens(&*dir, &delivered_at(last)).map_err(Error::io("cannot set the time of", path))?;
    }
    Ok(Made { written: missing.len(), kept: messages as usize - missing.len() })
}

/// What the marker says.
#[derive(Debug, Clone, Copy, Default)]
struct Marker {
    messages: u32,
}

impl Marker {
    const TMP: &str = "maildex.sample.tmp";

    /// More is no marker of ours.
    const LEN_MAX: u64 = 1000;

    fn read(dir: &Dir) -> Result<Option<Marker>> {
        let Some(file) = dir.open_file(MARKER, false)? else { return Ok(None) };
        let path = dir.path().join(MARKER);
        let mut text = String::new();
        if let Err(source) = file.take(Marker::LEN_MAX).read_to_string(&mut text) {
            return Err(Error::Io { path, doing: "cannot read", source });
        }
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u32>().ok());
        match (value("version:"), value("messages:")) {
            (Some(VERSION), Some(messages)) if messages <= MESSAGES_MAX => Ok(Some(Marker { messages })),
            (Some(version), Some(_)) => {
                let found = format!("it is of sample version {version}, and this maildex knows {VERSION}");
                Err(Error::InTheWay { path, found })
            }
            _ => Err(Error::InTheWay { path, found: "it does not say what was made here".into() }),
        }
    }

    fn write(self, maildir: &Maildir) -> Result<()> {
        let dir = maildir.root();
        let text = format!(
            "# maildex demo made this folder, and makes it as new again when it is run another time.\nversion: {VERSION}\nmessages: {}\n",
            self.messages
        );
        dir.unlink(Marker::TMP)?;
        write_file(dir, Marker::TMP, text.as_bytes(), maildir)?;
        dir.rename(Marker::TMP, MARKER)
    }
}

fn write_file(dir: &Dir, name: &str, bytes: &[u8], maildir: &Maildir) -> Result<()> {
    let mut file = dir.create_file(name, &maildir.access())?;
    let failed = |source| Error::Io { path: dir.path().join(name), doing: "cannot write", source };
    file.write_all(bytes).map_err(failed)
}

/// Names in a directory, without `.` and `..`.
fn names_in(dir: &Dir) -> Result<Vec<Vec<u8>>> {
    let failed = |errno| Error::io("cannot list", dir.path())(errno);
    let names = rustix::fs::Dir::read_from(dir).map_err(failed)?;
    let names = names.map(|entry| Ok(entry.map_err(failed)?.file_name().to_bytes().to_vec()));
    names.filter(|name| !matches!(name.as_deref(), Ok(b"." | b".."))).collect()
}

/// Without a marker there may be only what a killed predecessor leaves that had not come as far as writing one.
fn require_empty(dir: &Dir) -> Result<()> {
    let unfinished = [crate::lock::LOCKFILE.as_bytes(), Marker::TMP.as_bytes()];
    if names_in(dir)?.iter().all(|name| unfinished.contains(&name.as_slice())) {
        return Ok(());
    }
    let found = "it is not empty, and maildex demo did not make it".into();
    Err(Error::InTheWay { path: dir.path().to_path_buf(), found })
}

/// What is in a sample that was made before.
#[derive(Debug, Default)]
struct Found {
    /// So many are wanted.
    messages: u32,
    index_files: Vec<String>,
    mails: Vec<FoundMail>,
}

/// A message of the sample, under whatever name it has now.
#[derive(Debug)]
struct FoundMail {
    number: u32,
    sub: Sub,
    name: Vec<u8>,
    /// It can stay as it is, but for its name.
    is_kept: bool,
}

impl Found {
    /// Looks at everything; an error unless all of it is of the sample, or an index of it. `messages` are to stay.
    fn look(maildir: &Maildir, sample: &Sample, marker: Marker, messages: u32) -> Result<Found> {
        let dir = maildir.root();
        let mut found = Found { messages, ..Found::default() };
        let mut is_there = vec![false; marker.messages as usize];
        for name in names_in(dir)? {
            match name.as_slice() {
                b"new" => found.look_into(maildir, Sub::New, sample, &mut is_there)?,
                b"cur" => found.look_into(maildir, Sub::Cur, sample, &mut is_there)?,
                b"tmp" => {
                    let tmp = dir.sub(TMP)?;
                    if let Some(name) = names_in(&tmp)?.first() {
                        return Err(in_the_way(tmp.path(), name));
                    }
                }
                name => found.look_at(dir, name)?,
            }
        }
        Ok(found)
    }

    /// A name in the folder itself.
    fn look_at(&mut self, dir: &Dir, name: &[u8]) -> Result<()> {
        const KEPT: [&str; 7] = [
            MARKER,
            Marker::TMP,
            crate::lock::LOCKFILE,
            "maildex.ask",
            "maildex.close",
            "maildex.open",
            "maildex.inner",
        ];
        let stat = rustix::fs::statat(dir, path_of(name), AtFlags::SYMLINK_NOFOLLOW);
        let is_file = stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        let text = std::str::from_utf8(name).ok().filter(|_| is_file);
        match text {
            Some(name) if KEPT.contains(&name) => Ok(()),
            Some(name) if generation::is_file_name(name) => {
                self.index_files.push(name.to_string());
                Ok(())
            }
            Some(KEYWORDS_FILE) if is_start_of(dir, name, KEYWORDS.as_bytes())? => Ok(()),
            _ => Err(in_the_way(dir.path(), name)),
        }
    }

    /// The mail in `new/` or `cur/`.
    fn look_into(&mut self, maildir: &Maildir, sub: Sub, sample: &Sample, is_there: &mut [bool]) -> Result<()> {
        let dir = maildir.sub(sub)?;
        let listing = Listing::read(&dir)?;
        if let Some((name, _)) = listing.odd.first() {
            return Err(in_the_way(dir.path(), name));
        }
        for listed in listing.iter() {
            let stranger = || in_the_way(dir.path(), listed.name);
            let (number, mail) = sample.find(listed.name).ok_or_else(stranger)?;
            let is_there = is_there.get_mut(number as usize).ok_or_else(stranger)?;
            let is_twin = std::mem::replace(is_there, true);
            // Size and time are proof enough for what stays; what is to be removed is read.
            let is_kept = number < self.messages && is_untouched(&dir, listed.name, &mail)?;
            if is_twin || !(is_kept || is_start_of(&dir, listed.name, &mail.text)?) {
                return Err(stranger());
            }
            self.mails.push(FoundMail { number, sub, name: listed.name.to_vec(), is_kept });
        }
        Ok(())
    }

    /// Removes the index, gives each whole message that is wanted its first name back, and removes the others. Returns
    /// which are there.
    fn restore(self, maildir: &Maildir, sample: &Sample) -> Result<Vec<bool>> {
        for name in &self.index_files {
            maildir.root().unlink(name)?;
        }
        let mut kept = vec![false; self.messages as usize];
        let subs = Subs::open(maildir)?;
        for FoundMail { number, sub, name, is_kept } in self.mails {
            let from = subs.get(sub);
            let failed = |errno| Error::io("cannot restore", maildir.path_of(sub, &name))(errno);
            if !is_kept {
                rustix::fs::unlinkat(from, path_of(&name), AtFlags::empty()).map_err(failed)?;
                continue;
            }
            let mail = sample.mail(number);
            if (mail.sub, &mail.name) != (sub, &name) {
                let to = subs.get(mail.sub);
                rustix::fs::renameat_with(from, path_of(&name), to, path_of(&mail.name), RenameFlags::NOREPLACE)
                    .map_err(failed)?;
            }
            kept[number as usize] = true;
        }
        Ok(kept)
    }
}

fn in_the_way(dir: &Path, name: &[u8]) -> Error {
    Error::InTheWay { path: dir.join(path_of(name)), found: "it is not what maildex demo made".into() }
}

fn path_of(name: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(name))
}

/// Whether a file has the size and time of a message as it was made; its name has been looked at.
fn is_untouched(dir: &Dir, name: &[u8], mail: &Mail) -> Result<bool> {
    let stat = rustix::fs::statat(dir, path_of(name), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(Error::io("cannot stat", dir.path().join(path_of(name))))?;
    Ok(stat.st_size as usize == mail.text.len() && mtime_ns(&stat) == mail.received_s * 1_000_000_000)
}

/// Whether a file holds nothing but the start of this text, or all of it: what a killed writer leaves.
fn is_start_of(dir: &Dir, name: &[u8], text: &[u8]) -> Result<bool> {
    let path = || dir.path().join(path_of(name));
    let (file, _) = open_mail(dir, name).map_err(Error::io("cannot open", path()))?;
    let mut bytes = Vec::new();
    file.take(text.len() as u64 + 1).read_to_end(&mut bytes).map_err(|source| Error::Io {
        path: path(),
        doing: "cannot read",
        source,
    })?;
    Ok(text.starts_with(&bytes))
}

/// `new/` and `cur/`, open.
struct Subs([Dir; 2]);

impl Subs {
    fn open(maildir: &Maildir) -> Result<Subs> {
        Ok(Subs([maildir.sub(Sub::New)?, maildir.sub(Sub::Cur)?]))
    }

    fn get(&self, sub: Sub) -> &Dir {
        let Subs([new, cur]) = self;
        match sub {
            Sub::New => new,
            Sub::Cur => cur,
        }
    }
}

/// Writes these messages, in chunks by as many threads as there are cores: text is made while files are.
fn write_some(maildir: &Maildir, sample: &Sample, numbers: &[u32], progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let subs = Subs::open(maildir)?;
    let next = AtomicUsize::new(0);
    let write_chunks = |done: &mpsc::Sender<Result<usize>>| {
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed).min(numbers.len());
            let chunk = &numbers[from..numbers.len().min(from + CHUNK)];
            let written = chunk.iter().try_for_each(|&number| write_mail(&subs, &sample.mail(number)));
            let failed = written.is_err();
            // Nobody listens any more if another thread has failed.
            let told = done.send(written.map(|()| chunk.len()));
            if chunk.is_empty() || failed || told.is_err() {
                break;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    std::thread::scope(|scope| {
        let (done, chunks) = mpsc::channel();
        for _ in 0..threads {
            let done = done.clone();
            let write_chunks = &write_chunks;
            scope.spawn(move || write_chunks(&done));
        }
        drop(done);
        let mut written = 0;
        for chunk in chunks {
            written += chunk?;
            progress(Progress { done: written, total: numbers.len() });
        }
        Ok(())
    })
}

fn write_mail(subs: &Subs, mail: &Mail) -> Result<()> {
    let dir = subs.get(mail.sub);
    let path = || dir.path().join(path_of(&mail.name));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, path_of(&mail.name), flags, Mode::RUSR | Mode::WUSR)
        .map_err(Error::io("cannot create", path()))?;
    let mut file = File::from(file);
    file.write_all(&mail.text).map_err(|source| Error::Io { path: path(), doing: "cannot write", source })?;
    rustix::fs::futimens(&file, &delivered_at(mail.received_s)).map_err(Error::io("cannot set the time of", path()))
}

/// As an mtime; the time of the last reading is left as it is.
fn delivered_at(seconds: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
    }
}
