//! The folder lock (`L_F` in `docs/design.md`): one writer at a time; a dead one blocks nobody, a living one is never
//! robbed.
//!
//! The lock is the file `maildex.lock`, and one rule carries all: **it is held by whoever has an exclusive flock on the
//! file that the name stands for**, and only that holder may remove the name. The flock is the proof of life, for the
//! kernel drops it with its last holder, however that one died. Pids, ages and the text in the file prove nothing (a
//! pid is given out again, a clock jumps, another container has pids of its own); they only make good messages.
//!
//! So a lockfile without a flock is a dead holder's. Whoever gets its flock looks whether the name still stands for that
//! very file, removes it, and then competes like everyone else. Without that look two programs hold the lock at once:
//! both open a dead one's file, the first removes it and makes its own, the second removes *that*. Making the file with
//! `O_EXCL` and taking its flock afterwards leaves a moment in which a new holder looks dead; therefore the file is made
//! without a name, filled, flocked, and only then linked to its name.
//!
//! Whoever waits asks the holder to let go ([`ASK`]). A holder looks between two pieces of work ([`Lock::is_asked`]), and
//! then gives way ([`Lock::give_way`]). So that nobody is robbed of his turn and the lock does not only go to and fro, it
//! works for [`TURN`] at least; and so that the one who asked wins, it stays away for a moment.
//!
//! Limits: flock and `O_EXCL` must work between all who use the folder, so this is for local file systems. Whoever
//! removes the lockfile by hand takes the lock away; the holder notices ([`Lock::check`]) before it publishes.

mod ask;
mod close;
mod dovecot;
pub mod guard;
mod inner;
mod lockfile;
#[cfg(test)]
mod model;
mod owner;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_ask;
mod wait;

pub use ask::{ASK, is_wanted};
pub use close::{CLOSE, OPEN, Presence, is_closing};
pub(crate) use close::{Closing, who_is_open};
pub use dovecot::{COURIER_LOCK, DOVECOT_LOCK, Dotlock};
pub use inner::{INNER, check_held};
pub use lockfile::{Holder, LOCKFILE, Lock, TURN, Wait, break_stale, holder, holding};
pub use owner::{Behalf, Owner, State};
pub(crate) use owner::{is_lock_id, key_of, process};
