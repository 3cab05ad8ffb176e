//! From the messages that a user names to slots of the index.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::{Entries, Snapshot};
use crate::maildir::Sub;
use crate::maildir::name::base_of;
use crate::query::message::MessageRef;

/// The slots of a message that was named, in UID order. A UID that was named by itself and is not there, or a name
/// that is not known, goes to `missing`, and the rest goes on.
pub fn locate(
    folder_path: &Path,
    snapshot: &Snapshot<'_>,
    entries: &mut Entries,
    wanted: &MessageRef,
    missing: &mut dyn FnMut(Error),
) -> Result<Vec<SlotNo>> {
    let unknown = |wanted: String| Error::NoMessage { path: folder_path.to_path_buf(), wanted };
    let base = match wanted {
        MessageRef::Uids(set) => {
            for uid in set.singles() {
                let slot = snapshot.find_uid(uid)?;
                if slot.map(|slot| slot.status()).transpose()?.is_none_or(|status| status.has(Status::EXPUNGED)) {
                    missing(unknown(format!("with UID {uid}")));
                }
            }
            return in_set(snapshot, set);
        }
        MessageRef::Path(path) => {
            inside(folder_path, path)?;
            base_of(path.file_name().unwrap_or_default().as_bytes())
        }
        MessageRef::Base(name) => base_of(name),
    };
    if let Some(slot) = snapshot.find_base(base, entries)? {
        Ok(vec![slot.no()])
    } else {
        missing(unknown(format!("with the base name {}", String::from_utf8_lossy(base))));
        Ok(Vec::new())
    }
}

fn in_set(snapshot: &Snapshot<'_>, set: &crate::query::uidset::UidSet) -> Result<Vec<SlotNo>> {
    let last = last_live(snapshot)?;
    let from = match set.first() {
        Some(first) => snapshot.first_from(first)?.map_or(snapshot.len(), |slot| slot.no().0),
        None => 0,
    };
    let to = match set.last() {
        Some(last) => snapshot.first_from(last)?.map_or(snapshot.len(), |slot| slot.no().0 + 1),
        None => snapshot.len(),
    };
    let mut found = Vec::new();
    for no in (from..to.min(snapshot.len())).map(SlotNo) {
        let slot = snapshot.slot(no).expect("a slot of this snapshot");
        if !slot.status()?.has(Status::EXPUNGED) && set.contains(slot.uid()?, last) {
            found.push(no);
        }
    }
    Ok(found)
}

/// The largest UID of a live message, which `*` stands for.
pub fn last_live(snapshot: &Snapshot<'_>) -> Result<Option<Uid>> {
    for slot in snapshot.slots().rev() {
        if !slot.status()?.has(Status::EXPUNGED) {
            return slot.uid().map(Some);
        }
    }
    Ok(None)
}

/// A path of a mail must lead into the folder: its directory is the folder's `new` or `cur`. The file itself need not be
/// there; its flags may have changed.
fn inside(folder: &Path, mail: &Path) -> Result<()> {
    let parent = mail.parent().unwrap_or(Path::new(""));
    let same = |sub: Sub| match (std::fs::canonicalize(parent), std::fs::canonicalize(folder.join(sub.as_str()))) {
        (Ok(parent), Ok(expected)) => parent == expected,
        _ => false,
    };
    if Sub::ALL.into_iter().any(same) {
        return Ok(());
    }
    let expected = format!("a mail in {}", folder.display());
    Err(Error::Outside { path: mail.to_path_buf(), expected })
}
