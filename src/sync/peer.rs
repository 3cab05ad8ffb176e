//! What another replica says, beside what is known here. Its files were checked one by one when they were read; this is what
//! only the reader can judge. Who fails here is refused whole, and nothing of what it said is taken.
//!
//! | is refused | for it would |
//! |---|---|
//! | a UIDNEXT near the end of all numbers, far above the one here | leave no number for new mail |
//! | a counter that nobody could have reached | leave none for a replica's next change |
//! | mail that is too long, or is not what its guid is of | fill the disk, or be another mail under a name that is known |

use super::git::Oid;
use super::repository::{Repository, Tip};
use super::state::{Guid, State};
use super::text::BadFile;
use crate::error::{Error, Result};

/// UIDNEXT up to here is believed. Restored replicas go to the seconds since 1970, which get here in 2072.
pub(super) const UID_NEXT_MAX: u32 = 3 << 30;

/// Above that, what one meeting may add: a folder that is truly so far still can go on.
const UID_LEAP: u32 = 1 << 20;

/// More changes than a replica makes in a million years, at ten a second.
pub(super) const COUNTER_MAX: u64 = 1 << 48;

/// The longest mail that is taken from another replica, and told to one.
pub const MAIL_MAX: u64 = 1 << 30;

/// Whether what a peer says may be joined with what is known here; `known` says where contents are that were verified before.
pub(super) fn check(
    repository: &Repository,
    ours: &State,
    known: &dyn Fn(Guid) -> Option<Oid>,
    theirs: &Tip,
) -> Result<()> {
    let refused = |bad| Error::Replica {
        path: repository.path().to_path_buf(),
        commit: theirs.commit.to_string(),
        bad: Box::new(bad),
    };
    numbers(ours, &theirs.state).map_err(refused)?;
    let mut unknown = Vec::new();
    for (guid, oid) in theirs.contents() {
        match known(guid) {
            Some(known) if known == oid => {}
            Some(_) => {
                let file = format!("m/{:02x}/{guid}", guid.shard());
                return Err(refused(BadFile::new(file, "other contents than are known here", "those of its guid")));
            }
            None => unknown.push(guid),
        }
    }
    repository.verify(theirs, &unknown)
}

/// Numbers and counters.
fn numbers(ours: &State, theirs: &State) -> std::result::Result<(), BadFile> {
    if let Some((replica, counter)) = theirs.versions.iter().find(|(_, counter)| **counter > COUNTER_MAX) {
        return Err(BadFile::new("vv", format!("change {counter} of {replica}"), "a counter that can be reached"));
    }
    for (id, folder) in &theirs.folders {
        let here = ours.folders.get(id).map_or(1, |here| here.uid_next);
        let most = UID_NEXT_MAX.max(here.saturating_add(UID_LEAP));
        if folder.uid_next > most {
            return Err(BadFile::new(
                format!("f/{id}/head"),
                format!("UIDNEXT {} of {:?}", folder.uid_next, folder.name.escape_ascii().to_string()),
                format!("at most {most}, or no number is left for new mail"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::sync::state::{Folder, FolderId, ReplicaId};

    fn state(uid_next: u32, counter: u64) -> State {
        let folder = Folder { name: vec![], dots: BTreeSet::new(), uid_validity: 1, uid_next, uids: BTreeMap::new() };
        State {
            versions: BTreeMap::from([(ReplicaId(1), counter)]),
            folders: BTreeMap::from([(FolderId::of(b""), folder)]),
            ..State::default()
        }
    }

    #[test]
    fn numbers_near_the_end_are_not_believed() {
        let found = |ours: u32, theirs: u32| numbers(&state(ours, 1), &state(theirs, 1)).err().map(|bad| bad.found);
        assert_eq!(found(5, u32::MAX), Some("UIDNEXT 4294967295 of \"\"".into()));
        assert!(found(5, UID_NEXT_MAX + 1).is_some());
        assert_eq!(found(5, UID_NEXT_MAX), None);
        // Two that are there can go on.
        assert_eq!(found(UID_NEXT_MAX + 7, UID_NEXT_MAX + 7 + UID_LEAP), None);
        assert!(found(UID_NEXT_MAX + 7, UID_NEXT_MAX + 8 + UID_LEAP).is_some());
        assert_eq!(found(u32::MAX, u32::MAX), None);
    }

    #[test]
    fn a_counter_leaves_room_for_the_next_one() {
        assert_eq!(numbers(&state(1, 1), &state(1, COUNTER_MAX)), Ok(()));
        let bad = numbers(&state(1, 1), &state(1, COUNTER_MAX + 1)).unwrap_err();
        assert_eq!(
            bad.to_string(),
            "vv: found change 281474976710657 of 0000000000000001, expected a counter that can be reached"
        );
    }
}
