//! From the messages that a user names to slots of the index.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::{Entries, Slot, Snapshot};
use crate::maildir::Sub;
use crate::maildir::name::base_of;
use crate::query::message::MessageRef;

/// Whether all messages may be of the folder: a path that leads out of it is refused before anything is done.
pub fn check(folder_path: &Path, wanted: &[MessageRef]) -> Result<()> {
    wanted.iter().try_for_each(|wanted| match wanted {
        MessageRef::Path(path) => inside(folder_path, path),
        MessageRef::Uids(_) | MessageRef::Base(_) => Ok(()),
    })
}

/// The slots of a message that was named and has passed [`check`], in UID order. A UID that was named by itself and is not there, or a name
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
        MessageRef::Path(path) => base_of(path.file_name().unwrap_or_default().as_bytes()),
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
    let last = last_live(snapshot);
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

/// The largest UID of a live message, which `*` stands for. Damaged slots do not count; who walks over them tells.
pub fn last_live(snapshot: &Snapshot<'_>) -> Option<Uid> {
    let live = |slot: &Slot<'_>| slot.status().is_ok_and(|status| !status.has(Status::EXPUNGED));
    snapshot.slots().rev().filter(live).find_map(|slot| slot.uid().ok())
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
