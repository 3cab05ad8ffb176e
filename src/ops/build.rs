//! Makes the index, or brings it up to date; and does so for whoever reads, if that costs no waiting.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::lock::Wait;
use crate::refresh::{self, is_fresh};
pub use crate::refresh::{OnProgress, Options, Progress, Report, refresh as build};

/// What a reader gets to see.
#[derive(Debug)]
pub enum Freshness {
    /// The folder as it is, or was a moment ago.
    Current,
    /// The folder as of the last refresh, and why not a newer one.
    Stale(Error),
}

/// Before reading: brings the index up to date if the folder has changed and the lock is free at once. Never makes an
/// index, and never waits.
pub fn freshen(folder: &mut Folder, progress: OnProgress<'_>) -> Result<(Freshness, Option<Report>)> {
    folder.complete_index()?;
    let done = is_fresh(folder).and_then(|is_fresh| {
        let wait = Wait::For(Duration::ZERO);
        let options = Options { uncounted: true, ..Options::default() };
        let mut refresh = || refresh::refresh(folder, options, wait, &mut |_| (), progress);
        if is_fresh { Ok(None) } else { refresh().map(Some) }
    });
    Ok(match done {
        Ok(report) => (Freshness::Current, report),
        // Whatever it is, what was published can be read.
        Err(error) => (Freshness::Stale(error), None),
    })
}
