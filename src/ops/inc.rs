//! Takes new mail up: from `new/` to `cur/`, without a flag.

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::status::Status;
use crate::lock::{Owner, Wait};
use crate::maildir::change::FlagChange;
use crate::ops::build::{OnProgress, Options, Report, build};
use crate::ops::rename::{Edit, Outcome, Renamed, rename};
use crate::refresh::is_fresh;

/// What was done.
#[derive(Debug)]
pub struct Done {
    /// Messages that are in `cur/` now.
    pub messages: Vec<Renamed>,
    /// What could not be moved; the rest was.
    pub failed: Vec<Error>,
    /// What the refresh before it noticed.
    pub refreshed: Report,
    /// Why it ended before all was done. What was done stays.
    pub stopped: Option<Error>,
}

/// Brings the index up to date, and moves every message in `new/` to `cur/`.
pub fn inc(
    folder: &mut Folder,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Done> {
    folder.complete_index()?;
    let refreshed =
        if is_fresh(folder)? { Report::default() } else { build(folder, Options::default(), wait, told, progress)? };
    let snapshot = folder.complete_index()?.snapshot()?;
    let mut edits = Vec::new();
    for slot in snapshot.slots() {
        let status = slot.status()?;
        if status.has(Status::NEW) && !status.has(Status::EXPUNGED) {
            edits.push(Edit { uid: slot.uid()?, change: FlagChange::default(), to_cur: true });
        }
    }
    let mut outcome = Outcome::default();
    let stopped = rename(folder, &edits, ("inc", wait), told, progress, &mut outcome).err();
    // Somebody else may have taken it up and away meanwhile.
    let failed = outcome.failed.into_iter().map(|(_, error)| error);
    let failed = failed.filter(|error| !matches!(error, Error::NoMessage { .. })).collect();
    Ok(Done { messages: outcome.messages, failed, refreshed, stopped })
}
