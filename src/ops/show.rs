//! Every field of messages.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::ops::Message;
use crate::ops::list::message;
use crate::ops::locate::{Inside, Locator};
use crate::query::message::MessageRef;

/// Calls `visit` for each message that is named, in the order in which they are named. What is not there or damaged
/// goes to `bad`, and the rest goes on.
pub fn show(
    folder: &mut Folder,
    wanted: &[MessageRef],
    visit: &mut dyn FnMut(&Message<'_>) -> Result<()>,
    bad: &mut dyn FnMut(Error),
) -> Result<()> {
    let maildir = Arc::clone(folder.maildir());
    Inside::new(&maildir).check(wanted)?;
    let snapshot = folder.complete_index()?.snapshot()?;
    let mut entries = snapshot.index().entries()?;
    let mut locator = Locator::new(&maildir, snapshot);
    for wanted in wanted {
        for no in locator.locate(&mut entries, wanted, bad)? {
            let slot = snapshot.slot(no).expect("a slot of this snapshot");
            match message(&slot, &mut entries) {
                Ok(message) => visit(&message)?,
                Err(error) => bad(error),
            }
        }
    }
    Ok(())
}
