//! What cannot be rebuilt: which number is which mail's. Says how it stands, writes it down, and takes it up again.

mod export;
mod target;

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::status::Status as Flags;
use crate::index::find::ByBase;
use crate::lock::{Owner, Wait};
use crate::ops::build::{OnProgress, Options, Report};
use crate::refresh::{self, refresh_after};
pub use crate::refresh::{Adopted, Answer, Conflict, Here, Refusal};
use crate::uidlist::{Format, TEXT_MAX, UidList, parse};

pub use export::{Exported, export, print};

/// The numbers of a folder.
#[derive(Debug)]
pub struct Status {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT, at most 2^32.
    pub uid_next: u64,
    /// Messages that have a number.
    pub messages: usize,
    /// Numbers that were given out and are no message's any more.
    pub dead: u64,
    /// The lists of other programs in the folder.
    pub neighbours: Vec<Neighbour>,
}

/// A list that another program keeps in the folder.
#[derive(Debug)]
pub struct Neighbour {
    /// Its format.
    pub format: Format,
    /// The file.
    pub path: PathBuf,
    /// How it compares with ours, if it is a list.
    pub compared: Result<Comparison>,
}

/// How another program's list compares with ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Its UIDVALIDITY; where that is another one no number agrees.
    pub uid_validity: u32,
    /// Its UIDNEXT.
    pub uid_next: u64,
    /// Messages with the same number.
    pub agree: usize,
    /// Messages with another number.
    pub differ: usize,
    /// Messages that it does not have.
    pub only_here: usize,
    /// Names in it that are no message here. Dovecot forgets those of expunged mail late.
    pub only_there: usize,
}

/// Says how the numbers of a folder stand, as of the last refresh.
pub fn status(folder: &mut Folder) -> Result<Status> {
    let mut texts = Vec::new();
    for (format, name) in Format::ALL.into_iter().filter_map(|format| Some((format, format.file_name()?))) {
        let path = folder.maildir().path().join(name);
        let text = match folder.maildir().root().open_file(name, false) {
            Ok(None) => continue,
            Ok(Some(file)) => read_text(file, &path),
            Err(error) => Err(error),
        };
        texts.push((format, path, text));
    }
    let index = folder.complete_index()?;
    let uid_validity = index.identity().uid_validity;
    let snapshot = index.snapshot()?;
    let mut messages = 0;
    for slot in snapshot.slots() {
        messages += usize::from(!slot.status()?.has(Flags::EXPUNGED));
    }
    let (by_base, mut entries) = (ByBase::new(&snapshot)?, snapshot.index().entries()?);
    let mut compare = |list: &UidList<'_>| {
        let mut compared = Comparison {
            uid_validity: list.uid_validity,
            uid_next: list.uid_next,
            only_here: messages,
            ..Comparison::default()
        };
        for line in &list.lines {
            match by_base.find(&line.base, &snapshot, &mut entries)? {
                None => compared.only_there += 1,
                Some(slot) => {
                    compared.only_here -= 1;
                    let same = slot.uid()? == line.uid && list.uid_validity == uid_validity;
                    *(if same { &mut compared.agree } else { &mut compared.differ }) += 1;
                }
            }
        }
        Ok(compared)
    };
    let neighbours = texts
        .into_iter()
        .map(|(format, path, text)| {
            let compared = text.and_then(|text| compare(&read_list(&text, None, &path)?));
            Neighbour { format, path, compared }
        })
        .collect();
    let last = folder.index()?.last_given()?;
    let dead = u64::from(last).saturating_sub(messages as u64);
    Ok(Status { uid_validity, uid_next: u64::from(last) + 1, messages, dead, neighbours })
}

/// Reads a whole file, or as much as a list may have.
pub fn read_text(file: impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let failed = |source| Error::Io { path: path.to_path_buf(), doing: "cannot read", source };
    file.take(TEXT_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > TEXT_MAX {
        return Err(failed(std::io::Error::other(format!("it has more than {TEXT_MAX} bytes"))));
    }
    Ok(text)
}

/// Reads a list; `path` is for messages.
pub fn read_list<'t>(text: &'t [u8], format: Option<Format>, path: &Path) -> Result<UidList<'t>> {
    parse(text, format).map_err(|bad| Error::UidList { path: path.to_path_buf(), bad })
}

/// The text of a list in a file.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.into(), doing: "cannot open", source })?;
    read_text(file, path)
}

/// Takes up the numbers of a list, all or none, and then the folder as it is: mail that is not listed gets numbers above.
/// See `refresh/adopt.rs` for what can be taken up.
pub fn import(
    folder: &Folder,
    list: &UidList<'_>,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<(Answer, Report)> {
    let mut answer = Answer::CalledOff;
    let report =
        refresh_after("uids import", folder, Options::default(), wait, told, progress, &mut |lock, progress| {
            // The lock is held: whoever hears this may defer signals.
            let _ = progress(refresh::Progress { done: 0, total: 0 });
            answer = refresh::adopt(folder, list, lock, progress)?;
            let go_on = matches!(answer, Answer::Adopted(_));
            Ok(if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    Ok((answer, report))
}

/// Says what [`import`] would do now. Takes no lock, and changes nothing.
pub fn preview(folder: &Folder, list: &UidList<'_>) -> Result<Answer> {
    refresh::preview(folder, list)
}
