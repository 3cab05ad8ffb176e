//! An index of a Maildir folder that any number of programs map and read at once, without a server.
//!
//! An index is two files in the folder. `maildex.index.G` holds an entry for each mail, which never changes;
//! `maildex.offsets` holds what does change, flags above all, as words that are replaced by one aligned store each.
//! Readers map both, take no lock and never wait; a store by one program is seen by all others at once.
//!
//! What always holds:
//!
//! - A UID once shown never refers to another mail.
//! - The mail itself is never harmed, and files of other programs are never written unless asked for by name.
//! - What a reader sees is whole: an entry is complete or absent.
//! - One writer at a time, under the folder lock.
//! - Either of the two files gives back every UID.
//! - Any bytes in them give a clear error, never a crash or a wrong answer.
//!
//! The layers, each of which knows only those before it: [`maildir`] is the folder as other programs see it, [`mod@format`]
//! the bytes of our files, [`map`] the fence around mapped memory, [`lock`] the folder lock, [`index`] opens, finds,
//! publishes and recovers, [`folder`] puts these together, [`tree`] finds all folders below a directory, [`refresh`]
//! brings the index up to date, [`threads`] says which messages belong together, [`query`] which ones are meant,
//! [`uidlist`] is the lists of UIDs that other programs keep, [`sample`] makes up a folder to try things on, [`ops`] has one
//! function for each thing that a user can ask for, and [`watch`] keeps an index up to date.
#![deny(unsafe_code)]

pub mod dir;
pub mod error;
#[cfg(feature = "failpoints")]
pub mod failpoint;
#[cfg(not(feature = "failpoints"))]
mod failpoint;
pub mod folder;
pub mod format;
pub mod index;
pub mod lock;
pub mod maildir;
pub mod map;
mod network;
pub mod ops;
pub mod query;
pub mod refresh;
pub mod sample;
pub mod sync;
mod system;
pub mod threads;
pub mod tree;
pub mod uidlist;
pub mod watch;

pub use error::{Error, Result};
