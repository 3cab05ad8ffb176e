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
//!
//! # In a program
//!
//! The index of a folder is made, or brought up to date, and its messages are gone through:
//!
//! ```
//! # let scratch = tempfile::tempdir()?;
//! # let path = scratch.path().join("Maildir");
//! # ["cur", "new", "tmp"].iter().try_for_each(|sub| std::fs::create_dir_all(path.join(sub)))?;
//! # maildex::sample::write(&path, 0..20)?;
//! use std::ops::ControlFlow;
//!
//! use maildex::folder::Folder;
//! use maildex::lock::Wait;
//! use maildex::ops::build::{Options, build};
//! use maildex::ops::list::{Selection, list};
//! use maildex::query::{Clock, Query};
//!
//! let mut folder = Folder::open(&path)?;
//! // Who writes takes the lock. The first closure hears who has it, the second how far it is, and says whether to go on.
//! let report = build(&folder, Options::default(), Wait::Forever, &mut |_| (), &mut |_| ControlFlow::Continue(()))?;
//! assert_eq!(report.total, 20);
//!
//! // Who reads takes none: a snapshot is the folder as it was at one moment.
//! let clock = Clock { now: jiff::Timestamp::now(), zone: jiff::tz::TimeZone::system().into() };
//! let selection = Selection { query: Query::parse(["unseen not from \"nobody at all\""], &clock)?, ..Selection::default() };
//! let maildir = folder.maildir().clone();
//! let snapshot = folder.complete_index()?.snapshot()?;
//! let found = list(
//!     &maildir,
//!     &snapshot,
//!     &selection,
//!     &mut |message, _| {
//!         println!("{} {}: {}", message.uid, message.entry.from, message.entry.subject);
//!         Ok(())
//!     },
//!     &mut |damaged| eprintln!("{damaged}"),
//! )?;
//! assert!(found > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Flags are changed in the names of the files, which are the truth, and in the index:
//!
//! ```
//! # let scratch = tempfile::tempdir()?;
//! # let path = scratch.path().join("Maildir");
//! # ["cur", "new", "tmp"].iter().try_for_each(|sub| std::fs::create_dir_all(path.join(sub)))?;
//! # maildex::sample::write(&path, 0..20)?;
//! # let folder = maildex::folder::Folder::open(&path)?;
//! # let go_on = &mut |_| std::ops::ControlFlow::Continue(());
//! # maildex::refresh::refresh(&folder, maildex::refresh::Options::default(), maildex::lock::Wait::Forever, &mut |_| (), go_on)?;
//! use std::ops::ControlFlow;
//! use std::time::Duration;
//!
//! use maildex::folder::Folder;
//! use maildex::lock::Wait;
//! use maildex::maildir::change::FlagChange;
//! use maildex::maildir::flags::Flags;
//! use maildex::ops::count::count;
//! use maildex::ops::flag::{Plan, Whose, flag};
//! use maildex::query::Query;
//!
//! let mut folder = Folder::open(&path)?;
//! let read = [(FlagChange::of(Flags::SEEN, Flags::NONE), Whose::Query(Query::unseen()))];
//! let plan = Plan { changes: &read, dry_run: false, wait: Wait::For(Duration::from_secs(30)) };
//! let done = flag(&mut folder, &plan, &mut |_| (), &mut |_| ControlFlow::Continue(()))?;
//! // One message that could not be changed is no reason to leave out the others.
//! assert!(done.failed.is_empty() && done.stopped.is_none());
//! assert_eq!(count(&mut folder, &Query::unseen(), &mut |error| eprintln!("{error}"))?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whoever does something to a folder that others should not see half done holds the lock meanwhile, and looks whether
//! somebody waits for it:
//!
//! ```
//! # let scratch = tempfile::tempdir()?;
//! # let path = scratch.path().join("Maildir");
//! # ["cur", "new", "tmp"].iter().try_for_each(|sub| std::fs::create_dir_all(path.join(sub)))?;
//! # maildex::sample::write(&path, 0..20)?;
//! use std::time::Duration;
//!
//! use maildex::error::Error;
//! use maildex::folder::Folder;
//! use maildex::lock::Wait;
//!
//! let folder = Folder::open(&path)?;
//! let lock = folder.lock("back-up", Wait::For(Duration::from_secs(30)), &mut |owner| {
//!     if let Some(owner) = owner {
//!         eprintln!("waiting: {owner}");
//!     }
//! })?;
//! // The next one is told who has it.
//! let busy = folder.lock("me, too", Wait::For(Duration::ZERO), &mut |_| ());
//! assert!(matches!(busy, Err(Error::Locked { .. })));
//! if lock.is_asked()? {
//!     eprintln!("somebody waits");
//! }
//! lock.release()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A watcher keeps the index up to date and tells what happens:
//!
//! ```
//! # let scratch = tempfile::tempdir()?;
//! # let path = scratch.path().join("Maildir");
//! # ["cur", "new", "tmp"].iter().try_for_each(|sub| std::fs::create_dir_all(path.join(sub)))?;
//! # maildex::sample::write(&path, 0..20)?;
//! use std::ops::ControlFlow;
//! use std::path::Path;
//!
//! use maildex::Result;
//! use maildex::folder::{Folder, Setting};
//! use maildex::ops::changes::{Token, changes};
//! use maildex::refresh::{Progress, Report};
//! use maildex::watch::{Listener, Trouble, Watcher};
//!
//! #[derive(Default)]
//! struct Bell {
//!     rung: usize,
//! }
//!
//! impl Listener for Bell {
//!     fn changes(&mut self, _: &Path, folder: &mut Folder, since: &Token) -> Result<Token> {
//!         let snapshot = folder.complete_index()?.snapshot()?;
//!         let mut tell = |event: &maildex::ops::changes::Event<'_>| {
//!             println!("{} {}: {}", event.kind.as_str(), event.message.uid, event.message.entry.subject);
//!             self.rung += 1;
//!             Ok(())
//!         };
//!         // The token that comes back is for the next time, perhaps of another process.
//!         changes(&snapshot, since, &mut tell, &mut |damaged| eprintln!("{damaged}"))
//!     }
//!     fn report(&mut self, _: &Path, _: &Report) {}
//!     fn trouble(&mut self, trouble: &Trouble) {
//!         eprintln!("{trouble}");
//!     }
//!     fn at_work(&mut self) {}
//!     fn progress(&mut self, _: Progress) -> ControlFlow<()> {
//!         ControlFlow::Continue(())
//!     }
//!     fn at_rest(&mut self) {}
//!     fn is_done(&self) -> bool {
//!         self.rung > 0
//!     }
//! }
//!
//! let mut bell = Bell::default();
//! Watcher::new(&[path], false, &Setting::default())?.run(vec![Token::START], &mut bell)?;
//! assert_eq!(bell.rung, 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Versions
//!
//! The crate follows semantic versioning; before 1.0 the second number is raised by what breaks callers. The interface is
//! what the modules [`error`], [`folder`], [`lock`], [`maildir`], [`ops`], [`query`], [`threads`], [`tree`] and [`watch`]
//! offer, with the types that these hand out. The other modules are public for tests and for tools that look into the
//! files, and may change at any time. So may the fields that an error has; its kinds are only added to. Of `jiff` the
//! version is part of the interface, since [`query::Clock`] is made of its types. Each version opens the files that every
//! earlier one since 0.1.0 has written. The oldest Rust that will do is `rust-version` in `Cargo.toml`, which rises with the
//! second number.
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
