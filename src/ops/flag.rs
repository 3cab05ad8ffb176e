//! Sets and clears flags, in place.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::index::Slot;
use crate::lock::{Owner, Wait};
use crate::maildir::change::FlagChange;
use crate::ops::build::{OnProgress, Options, Report, build, freshen};
use crate::ops::locate::{Locator, may_be_elsewhere};
use crate::ops::rename::{Edit, Outcome, Renamed, rehearse, rename};
use crate::ops::select::select;
use crate::query::Query;
use crate::query::message::MessageRef;
use crate::refresh::is_fresh;

/// Which messages get a change.
#[derive(Debug, Clone)]
pub enum Whose {
    /// Those that are named.
    Named(MessageRef),
    /// Those that a query means.
    Query(Query),
}

/// What is to be done, and how.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'p> {
    /// Changes, in the order in which they are made.
    pub changes: &'p [(FlagChange, Whose)],
    /// Only say what would be done.
    pub dry_run: bool,
    /// How long to wait for the lock.
    pub wait: Wait,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    /// Every message that was meant, with the name that it has now.
    pub messages: Vec<Renamed>,
    /// What could not be done; the rest was.
    pub failed: Vec<Error>,
    /// The index was brought up to date for it.
    pub refreshed: Option<Report>,
    /// Why it ended before all was done. What was done stays.
    pub stopped: Option<Error>,
}

/// Changes flags. Messages are found in the index as it is; only if one is not found there, or if what is meant depends
/// on what is in the folder (`100:*`, a query), the index is brought up to date first.
pub fn flag(
    folder: &mut Folder,
    plan: &Plan<'_>,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Done> {
    carry_out(folder, plan, told, progress, &mut |folder, edits, told, progress, outcome| {
        if plan.dry_run {
            rehearse(folder, edits, outcome)
        } else {
            rename(folder, edits, ("flag", plan.wait), told, progress, outcome)
        }
    })
}

/// Does something to messages that were found, and says in the outcome what came of each.
pub(crate) type Work<'w> =
    dyn FnMut(&mut Folder, &[Edit], &mut dyn FnMut(Option<&Owner>), OnProgress<'_>, &mut Outcome) -> Result<()> + 'w;

/// Finds the messages of a plan and has `work` done to them; once more, after a refresh, to those that were not where the
/// index has them.
pub(crate) fn carry_out(
    folder: &mut Folder,
    plan: &Plan<'_>,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
    work: &mut Work<'_>,
) -> Result<Done> {
    folder.complete_index()?;
    let mut done = Done::default();
    match find_and_do(folder, plan, told, progress, work, &mut done) {
        Err(error) if done.messages.is_empty() && done.failed.is_empty() => Err(error),
        ended => Ok(Done { stopped: ended.err(), ..done }),
    }
}

fn find_and_do(
    folder: &mut Folder,
    plan: &Plan<'_>,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
    work: &mut Work<'_>,
    done: &mut Done,
) -> Result<()> {
    let mut wanted: Vec<_> = plan.changes.iter().collect();
    if wanted.iter().any(|(_, whose)| whose.depends_on_the_newest()) {
        done.refresh(folder, plan, told, progress)?;
    }
    // Who is named twice is meant once: it must not be copied twice, or be missing after it was moved. Of changes that
    // differ each has its turn.
    let is_one_change = plan.changes.iter().all(|(change, _)| *change == plan.changes[0].0);
    let mut met = HashSet::new();
    let mut edits = Vec::new();
    loop {
        let (mut found, unknown) = find(folder, &wanted, &mut done.failed)?;
        found.retain(|edit| !is_one_change || met.insert(edit.uid));
        edits.append(&mut found);
        let mut outcome = Outcome::default();
        let worked = work(folder, &edits, told, progress, &mut outcome);
        done.messages.extend(outcome.messages);
        let (moved, failed): (Vec<_>, Vec<_>) =
            outcome.failed.into_iter().partition(|(_, error)| may_be_elsewhere(error));
        done.failed.extend(failed.into_iter().map(|(_, error)| error));
        worked?;
        if done.refreshed.is_some() || outcome.interrupted || (moved.is_empty() && unknown.is_empty()) {
            done.failed.extend(moved.into_iter().map(|(_, error)| error));
            done.failed.extend(unknown.into_iter().map(|(_, error)| error));
            return Ok(());
        }
        // New mail, or mail that a sync program has given another base name.
        done.refresh(folder, plan, told, progress)?;
        edits = moved.into_iter().map(|(edit, _)| edit).collect();
        wanted = unknown.into_iter().map(|(wanted, _)| wanted).collect();
    }
}

type Change = (FlagChange, Whose);

/// A change to a message that the index does not know.
type Unknown<'w> = (&'w Change, Error);

/// The messages that are meant, and the names that the index does not know. UIDs that are not there have `failed`.
fn find<'w>(
    folder: &mut Folder,
    wanted: &[&'w Change],
    failed: &mut Vec<Error>,
) -> Result<(Vec<Edit>, Vec<Unknown<'w>>)> {
    let maildir = Arc::clone(folder.maildir());
    let snapshot = folder.complete_index()?.snapshot()?;
    let mut entries = snapshot.index().entries()?;
    let mut locator = Locator::new(&maildir, snapshot);
    let (mut edits, mut unknown) = (Vec::new(), Vec::new());
    for &wanted in wanted {
        let (change, whose) = wanted;
        let mut add = |uid| edits.push(Edit { uid, change: *change, to_cur: false });
        match whose {
            Whose::Named(named) => {
                // A UID that is dead stays so.
                let by_uid = matches!(named, MessageRef::Uids(_));
                let missing = &mut |error| {
                    if may_be_elsewhere(&error) && !by_uid { unknown.push((wanted, error)) } else { failed.push(error) }
                };
                for no in locator.locate(&mut entries, named, missing)? {
                    add(snapshot.slot(no).expect("a slot of this snapshot").uid()?);
                }
            }
            Whose::Query(query) => {
                let mut found = |slot: Slot<'_>, _: &mut dyn FnMut(Error)| {
                    add(slot.uid()?);
                    Ok(true)
                };
                select(&maildir, &snapshot, query, &mut found, &mut |error| failed.push(error))?;
            }
        }
    }
    Ok((edits, unknown))
}

impl Whose {
    fn depends_on_the_newest(&self) -> bool {
        match self {
            Whose::Named(MessageRef::Uids(set)) => set.last().is_none(),
            Whose::Named(_) => false,
            Whose::Query(_) => true,
        }
    }
}

impl Done {
    /// Brings the index up to date, unless it is.
    fn refresh(
        &mut self,
        folder: &mut Folder,
        plan: &Plan<'_>,
        told: &mut dyn FnMut(Option<&Owner>),
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let report = match plan.dry_run {
            true => freshen(folder, progress)?.1,
            false if is_fresh(folder)? => None,
            false => Some(build(folder, Options::default(), plan.wait, told, progress)?),
        };
        self.refreshed = Some(report.unwrap_or_default());
        Ok(())
    }
}
