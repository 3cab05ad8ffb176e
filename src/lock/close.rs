//! "Please close": how a compaction waits for those who keep a folder open.
//!
//! Who keeps the folder open for long (a watcher, a program that uses the library) holds a shared flock on
//! `maildex.open` ([`Presence`]). A compactor holds a shared flock on `maildex.close` and touches it, which wakes those
//! who watch it; they unmap the index, let go of `maildex.open`, and come back when nobody has a flock on
//! `maildex.close` any more; it is touched once more then. When the compactor gets `maildex.open` for itself
//! ([`Closing::all_closed`]), everybody has closed, and nobody comes back before it is done.
//!
//! This is courtesy, not safety: an old map stays whole, and who has one finds by the inode of `maildex.offsets` that it
//! is history. What it spares is disk space and memory, for files that are unlinked live on as long as they are mapped.

use crate::dir::{Access, Dir};
use crate::error::Result;
use crate::lock::ask::{Alone, Held, Wish, alone, is_wished, share};
use crate::lock::owner::name_holders;

/// The file on which a compactor holds a shared flock; permanent and empty.
pub const CLOSE: &str = "maildex.close";

/// The file on which everybody who keeps the folder open holds a shared flock; permanent and empty.
pub const OPEN: &str = "maildex.open";

/// That this program keeps a folder open; ends when dropped.
#[derive(Debug)]
pub struct Presence {
    _held: Held,
}

impl Presence {
    /// Says so, without waiting: `None` while somebody asks to close.
    pub fn enter(dir: &Dir, access: &Access) -> Result<Option<Presence>> {
        if is_closing(dir)? {
            return Ok(None);
        }
        Ok(share(OPEN, dir, access)?.map(|held| Presence { _held: held }))
    }
}

/// Whether somebody asks all who keep the folder open to close it.
pub fn is_closing(dir: &Dir) -> Result<bool> {
    is_wished(CLOSE, dir)
}

/// The wish that everybody closes; ends when dropped.
#[derive(Debug)]
pub(crate) struct Closing {
    wish: Option<Wish>,
}

/// That nobody keeps the folder open, and nobody begins to; ends when dropped.
#[derive(Debug)]
pub(crate) struct AllClosed {
    _held: Option<Held>,
}

impl Closing {
    /// Asks.
    pub(crate) fn ask(dir: &Dir, access: &Access) -> Result<Closing> {
        // Made by whoever asks, so that there is something to have for oneself.
        dir.open_or_create(OPEN, access)?;
        Ok(Closing { wish: Wish::on(CLOSE, dir, access)? })
    }

    /// Whether everybody has closed.
    #[allow(clippy::unused_self)] // only who has asked may expect it
    pub(crate) fn all_closed(&self, dir: &Dir) -> Result<Option<AllClosed>> {
        Ok(match alone(OPEN, dir)? {
            Alone::Yes(held) => Some(AllClosed { _held: held }),
            Alone::No => None,
        })
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(wish) = self.wish.take() {
            wish.end();
        }
    }
}

/// Those who keep the folder open, for messages, as far as `/proc` shows them.
pub(crate) fn who_is_open(dir: &Dir) -> Result<Vec<String>> {
    Ok(dir.open_file(OPEN, false)?.map_or_else(Vec::new, |file| name_holders(&file)))
}
