//! Kills the verbs that `crash.rs` does not: those of two folders, those that write elsewhere, those of the lock. At each
//! call that changes something and at each store; what must be right then is in `trouble.rs`.
//!
//! `MAILDEX_LONG=1` kills at all of them; else at a part, always the same.

use crate::faults::{faults, traced};
use crate::mailbox::skipped;
use crate::sweep::{STRACE, Sweep, command, input, strace_works};
use crate::tally::Tally;
use crate::trouble::{Excuse, Told, Tries, is_script, step};
use crate::verbs::{CHANGES, COPY, DEDUPE, EXPORT, EXPORT_DOVECOT, LOCK_ACQUIRE, LOCK_BREAK, LOCK_RUN, MOVE, WATCH};

/// How many points are tried of each verb, if not all are; calls, and stores.
const PART: [usize; 2] = [6, 3];

/// Calls that change nothing, however they end.
const READING: [&str; 9] =
    ["openat", "open", "read", "pread64", "getdents64", "statx", "fstat", "newfstatat", "fstatfs"];

/// Whoever is killed says nothing, and need not have begun.
const KILLED: Excuse = Excuse { not_begun: true, must_tell: false, harmed: false };

fn killed(sweep: &Sweep) {
    if !strace_works() {
        return skipped(&format!("kills of {}", sweep.name), STRACE);
    }
    let mut points: Vec<_> = faults(sweep)
        .into_iter()
        // Files that are made are told by an error that only they have.
        .filter(|fault| !READING.contains(&&*fault.name) || fault.error == "ENOSPC")
        .map(|fault| (fault.name, fault.nth))
        .collect();
    points.sort();
    points.dedup();
    assert!(points.len() > 2, "{}: only {points:?}", sweep.name);
    let expected = sweep.undisturbed_beside();
    let mut tries = Tries::default();
    for (name, nth) in points.iter().step_by(step(points.len(), PART[0])) {
        tries.one(sweep, &expected, KILLED, |place| {
            let inject = format!("inject={name}:signal=KILL:when={nth}");
            let trace = format!("trace={name}");
            let run = place.mailbox.finish(&mut traced(place, sweep, "/dev/null".as_ref(), &[&trace, &inject]));
            Told { run, trouble: inject }
        });
    }
    assert!(tries.told > 0, "{}: nothing was killed", sweep.name);
    let stores = |nth: u64| {
        let place = (sweep.folder)();
        let mut command = command(&place.mailbox, sweep.command);
        place.mailbox.finish(command.env("MAILDEX_KILL_AT", nth.to_string()).stdin(input(&place.mailbox)))
    };
    // A script goes on when what it has begun is killed, and so its number of stores cannot be told.
    let all =
        if is_script(sweep) { 0 } else { (1..10_000).find(|nth| stores(*nth).code() == Some(0)).expect("an end") - 1 };
    for nth in (1..=all).step_by(step(all as usize, PART[1])) {
        tries.one(sweep, &expected, KILLED, |place| {
            let mut command = command(&place.mailbox, sweep.command);
            command.env("MAILDEX_KILL_AT", nth.to_string()).stdin(input(&place.mailbox));
            Told { run: place.mailbox.finish(&mut command), trouble: format!("store {nth}") }
        });
    }
    tries.end(Tally::CrashPoints, &format!("kills of {} ({} calls, {all} stores)", sweep.name, points.len()));
}

macro_rules! kills {
    ($($name:ident: $sweep:expr;)*) => {$(
        #[test]
        fn $name() {
            killed(&$sweep);
        }
    )*};
}

kills! {
    move_killed_at_any_step: MOVE;
    copy_killed_at_any_step: COPY;
    dedupe_killed_at_any_step: DEDUPE;
    uids_export_killed_at_any_step: EXPORT;
    uids_export_to_dovecot_killed_at_any_step: EXPORT_DOVECOT;
    lock_run_killed_at_any_step: LOCK_RUN;
    lock_acquire_killed_at_any_step: LOCK_ACQUIRE;
    lock_break_killed_at_any_step: LOCK_BREAK;
    changes_killed_at_any_step: CHANGES;
    watch_killed_at_any_step: WATCH;
}
