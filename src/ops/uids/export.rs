//! Writes the list of a folder's UIDs: as text, to a file, or to where Dovecot or Courier keeps its own.
//!
//! Another program's list is what its users know mail by, so what holds for our numbers holds for its numbers as well: as
//! long as UIDVALIDITY stays none of them may come to name another mail. Only a list with another UIDVALIDITY is free of
//! that; then mail programs fetch everything anew, and that is told.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::{Entries, Snapshot};
use crate::lock::{Dotlock, Wait};
use crate::ops::uids::target::{Place, Replacement, Target};
use crate::ops::uids::{Conflict, Here, Refusal, read_list, read_text};
use crate::uidlist::{Format, Line, UidList};

/// Conflicts that are kept to be shown.
const SHOWN: usize = 20;

/// What was written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// A list of so many messages.
    Written {
        /// How many.
        messages: usize,
        /// UIDVALIDITY of the list that another program had there, if it was another one, and of this one.
        other_validity: Option<(u32, u32)>,
        /// Of these so many are in `new/`, and Courier gives such mail a number of its own when it takes it up.
        renumbered: usize,
    },
    /// Another program's list has numbers of its own for the same UIDVALIDITY, and was left as it is.
    Refused(Refusal),
}

/// Hears of mail that a list cannot hold; the rest goes on.
pub type OnBad<'b> = &'b mut dyn FnMut(Error);

/// Prints the list of a folder as of the last refresh. Returns how many messages are in it.
pub fn print(folder: &mut Folder, format: Format, out: &mut dyn Write, bad: OnBad<'_>) -> Result<usize> {
    let path = folder.path().to_path_buf();
    let last = folder.complete_index()?.last_given()?;
    let mut numbers = Numbers::new(folder.complete_index()?.snapshot()?, last, format, &path, bad)?;
    numbers.write(None, out, Path::new("standard output"))?;
    Ok(numbers.live.len())
}

/// Writes the list of a folder, as of the last refresh, to a file, which takes the place of what was there when it is
/// whole. Which format is meant where none is named the file says. `wait` is for the lock of Dovecot's own list.
pub fn export(
    folder: &mut Folder,
    format: Option<Format>,
    path: &Path,
    wait: Wait,
    bad: OnBad<'_>,
) -> Result<Exported> {
    let format_or_ours = format.unwrap_or(Format::Tsv);
    let written = |messages| Exported::Written { messages, other_validity: None, renumbered: 0 };
    match Target::of(folder, path)? {
        Target::Stream(file) => {
            let mut out = BufWriter::new(file);
            let messages = print(folder, format_or_ours, &mut out, bad)?;
            out.flush().map_err(cannot_write(path))?;
            Ok(written(messages))
        }
        Target::File(place) => {
            let replacement = Replacement::begin(place, None)?;
            let mut out = BufWriter::new(replacement.file());
            let messages = print(folder, format_or_ours, &mut out, bad)?;
            out.flush().map_err(cannot_write(path))?;
            drop(out);
            replacement.finish()?;
            Ok(written(messages))
        }
        Target::Neighbour(its) if format.is_some_and(|format| format != its) => {
            Err(Error::NotATarget { path: path.to_path_buf(), what: "is the list of a program with another format" })
        }
        Target::Neighbour(format) => replace(folder, format, wait, bad),
    }
}

/// Replaces another program's own list, in its way.
fn replace(folder: &mut Folder, format: Format, wait: Wait, bad: OnBad<'_>) -> Result<Exported> {
    let dir = Arc::clone(folder.maildir().dir());
    let access = folder.maildir().access();
    let name = format.file_name().expect("a neighbour has a file");
    let path = dir.path().join(name);
    let lock = match format {
        Format::Courier => Dotlock::acquire_couriers(&dir, &access, wait)?,
        Format::Dovecot | Format::Tsv => Dotlock::acquire(&dir, &access, wait)?,
    };
    let text = dir.open_file(name, false)?.map(|file| read_text(file, &path)).transpose()?;
    let before = match &text {
        Some(text) if !text.is_empty() => Some(read_list(text, None, &path)?),
        _ => None,
    };
    let folder_path = folder.path().to_path_buf();
    let last = folder.complete_index()?.last_given()?;
    let mut numbers = Numbers::new(folder.complete_index()?.snapshot()?, last, format, &folder_path, bad)?;
    let merge = match before.as_ref().map(|before| numbers.merge(before, &path)).transpose()? {
        Some(Err(refusal)) => return Ok(Exported::Refused(refusal)),
        Some(Ok(merge)) => Some(merge),
        None => None,
    };
    let replacement = Replacement::begin(Place { dir, name: name.into() }, Some(access))?;
    let mut out = BufWriter::new(replacement.file());
    numbers.write(merge.as_ref(), &mut out, &path)?;
    out.flush().map_err(cannot_write(&path))?;
    drop(out);
    if !lock.touch()? {
        return Err(Error::KeepsChanging { path });
    }
    replacement.finish()?;
    let here = numbers.snapshot.index().identity().uid_validity;
    let other_validity = before.map(|before| (before.uid_validity, here)).filter(|(before, here)| before != here);
    let renumbered = if format == Format::Courier { numbers.in_new()? } else { 0 };
    Ok(Exported::Written { messages: numbers.live.len(), other_validity, renumbered })
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    |source| Error::Io { path, doing: "cannot write", source }
}

/// Whether a list can say that all numbers have been given out.
fn check(format: Format, uid_next: u64, path: &Path) -> Result<()> {
    let can_tell = uid_next <= format.uid_next_max();
    if can_tell { Ok(()) } else { Err(Error::UidsExhausted { path: path.to_path_buf() }) }
}

/// The messages of a list.
struct Numbers<'i> {
    snapshot: Snapshot<'i>,
    entries: Entries,
    format: Format,
    uid_next: u64,
    live: Vec<SlotNo>,
}

/// What is taken over from the list that was there.
struct Merge<'l> {
    before: &'l UidList<'l>,
    /// Lines by message, for the fields that are its program's.
    lines: HashMap<SlotNo, &'l Line<'l>>,
    /// Lines that stay, for we know nothing of their mail; rising.
    kept: Vec<&'l Line<'l>>,
    uid_next: u64,
}

impl<'i> Numbers<'i> {
    /// Those of the live messages that the format can hold. `last` is the largest number that was given out, as far as
    /// was known before the snapshot.
    fn new(snapshot: Snapshot<'i>, last: u32, format: Format, path: &Path, bad: OnBad<'_>) -> Result<Numbers<'i>> {
        let mut entries = snapshot.index().entries()?;
        let mut live = Vec::new();
        for slot in snapshot.slots() {
            if slot.status()?.has(Status::EXPUNGED) {
                continue;
            }
            let base = entries.read(&slot)?.base;
            if format.can_hold(base) {
                live.push(slot.no());
            } else {
                bad(Error::Unlistable { path: path.join(OsStr::from_bytes(base)), format });
            }
        }
        let last = snapshot.last_uid()?.map_or(0, Uid::get).max(last);
        let uid_next = u64::from(last) + 1;
        check(format, uid_next, path)?;
        Ok(Numbers { snapshot, entries, format, uid_next, live })
    }

    /// How many are in `new/`.
    fn in_new(&self) -> Result<usize> {
        let is_new = |&no: &SlotNo| self.snapshot.slot(no).expect("a slot of this snapshot").status();
        self.live.iter().map(is_new).try_fold(0, |count, status| Ok(count + usize::from(status?.has(Status::NEW))))
    }

    /// Goes through the list that another program has. What its users know must not change.
    fn merge<'l>(&mut self, before: &'l UidList<'l>, path: &Path) -> Result<Result<Merge<'l>, Refusal>> {
        let uid_validity = (self.snapshot.index().identity().uid_validity, before.uid_validity);
        let is_same = uid_validity.0 == uid_validity.1;
        let mut by_base: HashMap<&[u8], &'l Line<'l>> = before.lines.iter().map(|line| (&*line.base, line)).collect();
        let mut lines = HashMap::new();
        let mut refusal = Refusal { uid_validity, conflicts: Vec::new(), count: 0 };
        for &no in &self.live {
            let slot = self.snapshot.slot(no).expect("a slot of this snapshot");
            let (uid, base) = (slot.uid()?, self.entries.read(&slot)?.base);
            let line = by_base.remove(base);
            lines.extend(line.map(|line| (no, line)));
            let was_given = is_same && u64::from(uid.get()) < before.uid_next;
            if was_given && line.is_none_or(|line| line.uid != uid) {
                refusal.count += 1;
                if refusal.conflicts.len() < SHOWN {
                    let at = before.lines.binary_search_by_key(&uid, |line| line.uid);
                    let here = at.map_or(Here::Dead, |at| Here::Mail(before.lines[at].base.to_vec()));
                    refusal.conflicts.push(Conflict { uid, wanted: base.to_vec(), here });
                }
            }
        }
        if refusal.count > 0 {
            return Ok(Err(refusal));
        }
        let mut kept: Vec<_> = if is_same { by_base.into_values().collect() } else { Vec::new() };
        kept.sort_unstable_by_key(|line| line.uid);
        let uid_next = if is_same { self.uid_next.max(before.uid_next) } else { self.uid_next };
        check(self.format, uid_next, path)?;
        Ok(Ok(Merge { before, lines, kept, uid_next }))
    }

    /// Writes the list; `path` is for messages.
    fn write(&mut self, merge: Option<&Merge<'_>>, out: &mut dyn Write, path: &Path) -> Result<()> {
        let Numbers { snapshot, entries, format, .. } = self;
        let failed = || cannot_write(path);
        let (uid_next, fields) = merge.map_or((self.uid_next, b"".as_slice()), |m| (m.uid_next, m.before.fields));
        let uid_validity = snapshot.index().identity().uid_validity;
        format.write_header(out, uid_validity, uid_next, self.live.len(), fields).map_err(failed())?;
        let mut kept = merge.map_or([].as_slice(), |merge| &merge.kept).iter().peekable();
        let mut keep = |below: u64, out: &mut dyn Write| -> Result<()> {
            while let Some(line) = kept.next_if(|line| u64::from(line.uid.get()) < below) {
                format.write_line(out, line.uid, &line.base, line.fields).map_err(failed())?;
            }
            Ok(())
        };
        for &no in &self.live {
            let slot = snapshot.slot(no).expect("a slot of this snapshot");
            let uid = slot.uid()?;
            keep(uid.get().into(), out)?;
            let fields = merge.and_then(|merge| merge.lines.get(&no)).map_or(b"".as_slice(), |line| line.fields);
            format.write_line(out, uid, entries.read(&slot)?.base, fields).map_err(failed())?;
        }
        keep(u64::MAX, out)
    }
}
