//! Numbers that the folders here have given out, told to the state: as those of a replica of its own, so that what others gave
//! out meanwhile needs no special case.

use std::collections::{BTreeMap, HashSet};

use crate::error::Result;
use crate::sync::join::{Numbering, merge};
use crate::sync::local::LocalFolder;
use crate::sync::scan::Scan;
use crate::sync::state::{Folder, FolderId, Guid, State};

/// Joins the state with the numbers that were given out here.
pub(super) fn tell(state: &mut State, scan: &mut Scan) -> Result<()> {
    let mut numbered: Option<State> = None;
    for (id, here) in &scan.folders {
        if state.folders.get(id).is_some_and(|folder| is_of_another(here, folder)) {
            number_anew(state, *id, here);
        }
    }
    for (id, here) in &scan.folders {
        let Some(folder) = state.folders.get(id).filter(|folder| !is_of_another(here, folder)) else { continue };
        let uid_next = u32::try_from(here.uid_next).unwrap_or(u32::MAX);
        // As it was: most numbers are.
        let mut numbers = here.mails.iter().filter_map(|(uid, known)| Some((*uid, known.guid?)));
        let known = folder.uids.iter().map(|(uid, guid)| (*uid, *guid));
        let is_as_known = known.eq(numbers.by_ref().take(folder.uids.len()));
        let is_there = |guid: &Guid| state.mails.get(guid).is_some_and(|mail| mail.places.contains_key(id));
        if is_as_known && folder.uid_validity == here.uid_validity && folder.uid_next <= uid_next {
            // Numbers that were given out since are above it, and nobody else knows of them yet.
            let new: Vec<(u32, Guid)> = numbers.filter(|(_, guid)| is_there(guid)).collect();
            if new.iter().all(|(uid, _)| *uid >= folder.uid_next) {
                let folder = state.folders.get_mut(id).expect("it was just there");
                folder.uids.extend(new);
                folder.uid_next = uid_next;
                continue;
            }
        }
        let live = here.mails.iter().filter_map(|(uid, known)| Some((*uid, known.guid.filter(is_there)?)));
        let uids: BTreeMap<u32, Guid> = live.collect();
        let known = (folder.uid_validity, folder.uid_next, &folder.uids);
        if known != (here.uid_validity, uid_next, &uids) {
            let numbered = numbered.get_or_insert_with(|| state.clone());
            let folder = numbered.folders.get_mut(id).expect("a clone has what was cloned");
            (folder.uid_validity, folder.uid_next, folder.uids) = (here.uid_validity, uid_next, uids);
        }
    }
    if let Some(numbered) = numbered {
        let merged = merge(state, &numbered, Numbering::Eager)?;
        *state = merged.state;
        scan.burnt = merged.burnt;
    }
    Ok(())
}

/// Whether the numbers of a folder here are of another UIDVALIDITY than those that the others know: then they say nothing.
fn is_of_another(here: &LocalFolder, folder: &Folder) -> bool {
    folder.uid_next > 1 && folder.uid_validity != here.uid_validity
}

/// Gives mail that has come to a folder numbers that the others can know, in the order in which it has some here.
fn number_anew(state: &mut State, id: FolderId, here: &LocalFolder) {
    let numbered: HashSet<Guid> = state.folders[&id].uids.values().copied().collect();
    for guid in here.mails.values().filter_map(|known| known.guid).filter(|guid| !numbered.contains(guid)) {
        let next = state.folders[&id].uid_next;
        state.give_uid(id, guid, next);
    }
}
