//! Kills the program at every step and wants everything right afterwards.
//!
//! A step is a system call that changes something (strace delivers SIGKILL just before the Nth of a kind), or a store
//! into a mapped file (the program itself dies just before the Nth, see `src/failpoint.rs`). A [`Sweep`] is a folder, a
//! command, and what that command may do to the mail; it tries each step in a folder of its own, looks at what is left,
//! lets `build` bring it in order, and looks again. What is right is worked out in `oracle.rs`.
//!
//! `MAILDEX_LONG=1` also kills the recovery at every step, after a first kill at every step; else a part, always the
//! same, is taken.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::process::Command;

use maildex::folder::Folder;
use maildex::lock::Wait;
use maildex::ops::build::{Options, build};

use crate::mailbox::{Mailbox, figures, long, mail, skipped};
use crate::oracle;
use crate::sweep::{
    Files, Kill, Left, NEW_CONTENTS, Place, STRACE, Sweep, input, kill, like_undisturbed, nothing, strace_works,
    under_strace,
};
use crate::tally::Tally;

/// Mail 3 may be there with the old contents, the new ones, or both; in tmp/ may be left what is one of them. Nothing else
/// may have changed.
fn replaced(before: &Files, after: &Files) -> Result<(), String> {
    let (old, new) = (mail("mail 3").into_bytes(), mail(NEW_CONTENTS).into_bytes());
    let mut after = after.clone();
    after.retain(|path, (text, ..)| !(path.starts_with("tmp/") && (*text == old || *text == new)));
    let mut before = before.clone();
    let (mut had, mut has) = (0, 0);
    before.retain(|_, (text, ..)| {
        *text != old || {
            had += 1;
            false
        }
    });
    after.retain(|_, (text, ..)| {
        (*text != old && *text != new) || {
            has += 1;
            false
        }
    });
    if had == 1 && (1..=2).contains(&has) {
        untouched(&before, &after)
    } else {
        Err(format!("{has} of mail 3: {after:?}"))
    }
}

/// The command may not touch the mail at all.
pub fn untouched(before: &Files, after: &Files) -> Result<(), String> {
    let names = |files: &Files| files.keys().cloned().collect::<BTreeSet<_>>();
    if before == after { Ok(()) } else { Err(format!("mail was touched: {:?}, {:?}", names(before), names(after))) }
}

/// Names may change, but for what stands before the colon; nothing else may.
fn renamed(before: &Files, after: &Files) -> Result<(), String> {
    let by_base = |files: &Files| -> Vec<_> {
        let base =
            |path: &String| path.split_once('/').map(|(_, name)| name.split(':').next().unwrap_or("").to_string());
        let mut mails: Vec<_> = files.iter().map(|(path, mail)| (base(path), mail.clone())).collect();
        mails.sort();
        mails
    };
    if by_base(before) == by_base(after) { Ok(()) } else { Err(format!("{:?}, {:?}", before.keys(), after.keys())) }
}

/// Mail of all kinds, and no index.
pub fn fresh() -> Place {
    Place::new(filled(Mailbox::in_memory()))
}

/// With mail of all kinds.
pub fn filled(mailbox: Mailbox) -> Mailbox {
    mailbox
        .messages(4)
        .message("cur/5.host:2,S", mail("mail 5"))
        .message("cur/6.host,S=12:2,FRSab", mail("mail 6"))
        .message("cur/7.host:2,SF", mail("not canonical"))
        .message("cur/8.host:2,", "")
        .message("cur/9.host:2,T", "no header at all\n")
        .message("new/10.host", mail("mail 10"))
        .message("new/11.host", mail("mail 11"))
        .message("new/12.host:2,F", mail("mail 12"))
}

pub fn built() -> Place {
    fresh().build()
}

/// An index exists, and then every kind of change happened.
pub fn grown() -> Place {
    let place = fresh().build();
    change(&place.mailbox);
    place
}

/// Every kind of change that other programs make.
pub fn change(mailbox: &Mailbox) {
    mailbox.remove("cur/1.host:2,");
    mailbox.remove("new/12.host:2,F"); // the last UID
    mailbox.rename("cur/2.host:2,", "cur/2.host:2,S");
    mailbox.rename("new/10.host", "cur/10.host:2,S");
    mailbox.rename("cur/5.host:2,S", "cur/5.host,U=5:2,ST"); // as mbsync does
    mailbox.deliver("cur/3.host:2,", mail("replaced"));
    fs::write(mailbox.file("cur/8.host:2,"), mail("filled")).expect("fill the empty mail");
    for n in 13..16 {
        mailbox.deliver(format!("new/{n}.host"), mail(&format!("mail {n}")));
    }
}

/// The same, taken up: with dead entries of all kinds.
fn refreshed() -> Place {
    grown().build()
}

/// The new mail needs another block of the offsets file.
fn next_block() -> Place {
    let place = Place::new(Mailbox::in_memory().messages(510)).build();
    place.mailbox.remove("cur/17.host:2,");
    for n in 511..516 {
        place.mailbox.deliver(format!("new/{n}.host"), mail(&format!("mail {n}")));
    }
    place
}

fn offsets_lost() -> Place {
    let place = grown();
    place.mailbox.remove("maildex.offsets");
    place
}

/// A changed bit in the record at its start.
fn offsets_damaged() -> Place {
    let place = grown();
    flip(&place.mailbox, "maildex.offsets", 20);
    place
}

fn index_lost() -> Place {
    let place = fresh().build();
    // Names and inodes must fit; what else has changed is as in `change`.
    place.mailbox.remove("cur/1.host:2,");
    place.mailbox.remove("new/12.host:2,F");
    place.mailbox.rename("cur/2.host:2,", "cur/2.host:2,S");
    place.mailbox.rename("new/10.host", "cur/10.host:2,S");
    place.mailbox.deliver("new/13.host", mail("mail 13"));
    place.mailbox.remove("maildex.index.1");
    place
}

/// A changed bit in the first entry, whose mail was removed.
fn index_damaged() -> Place {
    let place = grown();
    flip(&place.mailbox, "maildex.index.1", 4096 + 100);
    place
}

/// The last sync of a refresh failed: this generation takes no more writes.
fn sync_failed() -> Place {
    let place = grown();
    let inject = Some("inject=fsync:error=EIO:when=2");
    let failed = under_strace(&place.mailbox.command(["build"]), "/dev/null".as_ref(), inject).output();
    assert_eq!(failed.expect("strace runs").status.code(), Some(3), "the sync of the offsets file fails");
    place
}

/// Both files are copies, as from a back-up.
fn copied() -> Place {
    let place = built();
    for (name, bytes) in place.mailbox.own_files() {
        place.mailbox.remove(&name);
        fs::write(place.mailbox.file(&name), bytes).expect("put a copy in its place");
    }
    place
}

fn flip(mailbox: &Mailbox, name: &str, at: usize) {
    let path = mailbox.file(name);
    let mut bytes = fs::read(&path).expect("read the file");
    bytes[at] ^= 4;
    let mut file = fs::OpenOptions::new().write(true).open(path).expect("open the file");
    file.seek(SeekFrom::Start(at as u64)).expect("seek");
    file.write_all(&bytes[at..=at]).expect("change a byte");
}

/// A refresh that keeps its hands off the mail.
pub const BUILD: Sweep = Sweep {
    name: "fresh",
    folder: fresh,
    command: &["build"],
    mail: untouched,
    left: Left::Same,
    step: 1,
    beside: nothing,
};
pub const REFRESH: Sweep = Sweep { name: "grown", folder: grown, ..BUILD };
pub const READER: Sweep = Sweep { name: "grown, by a reader", command: &["list"], ..REFRESH };
pub const NEXT_BLOCK: Sweep = Sweep { name: "next block", folder: next_block, step: 5, ..BUILD };
pub const OFFSETS_LOST: Sweep = Sweep { name: "offsets lost", folder: offsets_lost, step: 3, ..BUILD };
pub const OFFSETS_DAMAGED: Sweep = Sweep { name: "offsets damaged", folder: offsets_damaged, step: 3, ..BUILD };
pub const INDEX_LOST: Sweep = Sweep { name: "index lost", folder: index_lost, step: 3, ..BUILD };
pub const INDEX_DAMAGED: Sweep = Sweep { name: "index damaged", folder: index_damaged, step: 3, ..BUILD };
pub const COPIED: Sweep = Sweep { name: "copied", folder: copied, ..BUILD };
pub const REPAIR: Sweep = Sweep { name: "repair", folder: index_damaged, command: &["repair"], step: 3, ..BUILD };
pub const REPAIR_LOST: Sweep =
    Sweep { name: "repair lost", folder: index_lost, command: &["repair"], step: 3, ..BUILD };
const SYNC_FAILED: Sweep = Sweep { name: "sync failed", folder: sync_failed, step: 3, ..BUILD };

/// A verb that renames mail. The change of many goes through a refresh first.
pub const FLAG: Sweep = Sweep {
    name: "flag",
    folder: built,
    command: &["flag", "+F-S", "3"],
    mail: renamed,
    left: Left::SameWhenRunAgain,
    step: 1,
    beside: nothing,
};
pub const FLAG_MANY: Sweep =
    Sweep { name: "flag many", folder: grown, command: &["flag", "=RT,+a", "1:*"], step: 3, ..FLAG };
pub const INC: Sweep = Sweep { name: "inc", folder: grown, command: &["inc"], step: 3, ..FLAG };

pub const COMPACT: Sweep = Sweep {
    name: "compact",
    folder: refreshed,
    command: &["compact"],
    mail: untouched,
    left: Left::SameWhenRunAgain,
    step: 1,
    beside: nothing,
};

pub const REPLACE: Sweep = Sweep {
    name: "replace",
    folder: built,
    command: &["replace", "3"],
    mail: replaced,
    left: Left::SomeOfIt,
    step: 1,
    beside: nothing,
};

/// The numbers of a list where there is no index; `input` is the list.
pub const IMPORT: Sweep = Sweep { name: "import", folder: listed, command: &["uids", "import", "-"], step: 7, ..BUILD };
/// The same beside numbers that were given out: some mail is new, some gets another one.
pub const IMPORT_ABOVE: Sweep = Sweep { name: "import above", folder: listed_above, ..IMPORT };

/// Some of the mail has numbers, the other way round than by arrival.
fn listed() -> Place {
    let place = fresh();
    let list = "maildex-uids 1\tuidvalidity 1000\tuidnext 50\tmessages 5\n\
        3\t12.host\n9\t6.host,S=12\n20\tgone\n30\t10.host\n40\t8.host\n";
    fs::write(place.mailbox.file("input"), list).expect("write the list");
    place
}

fn listed_above() -> Place {
    let place = listed();
    place.run(&["uids", "import", "-"], 0).expect("the first list");
    change(&place.mailbox);
    let list = "maildex-uids 1\tuidvalidity 1000\tuidnext 90\tmessages 5\n\
        9\t6.host,S=12\n60\t15.host\n61\t10.host\n62\t13.host\n80\t3.host\n";
    fs::write(place.mailbox.file("input"), list).expect("write the list");
    let mut place = place;
    place.show().expect("a folder to begin with");
    place
}

/// Killed anywhere, an import has done all or nothing: run again it comes to the same end, and so it does after a build
/// that finds all done. A build that finds nothing done gives numbers of its own, which nothing takes away again.
/// Mail that is not listed gets numbers above `last_listed`, and then perhaps others.
fn killed_imports(sweep: &Sweep, last_listed: u64, points: impl Iterator<Item = Kill>) {
    let expected = sweep.undisturbed();
    let (mut tried, mut kills, mut faults, mut refused) = (0, 0, 0, 0);
    for point in points {
        for build_first in [false, true] {
            let fail = |why: String| -> ! { panic!("{} at {point:?}, build first: {build_first}: {why}", sweep.name) };
            let mut place = (sweep.folder)();
            let (before, last) = (oracle::untouchable(&place.mailbox), place.history.last());
            tried += 1;
            let hit = usize::from(kill(&place.mailbox, sweep.command, &point).unwrap_or_else(|why| fail(why)));
            if matches!(point, Kill::Error(..)) {
                faults += hit;
            } else {
                kills += hit;
            }
            place.show().unwrap_or_else(|why| fail(why));
            if build_first {
                place.put_right().unwrap_or_else(|why| fail(why));
            }
            let import = |place: &Place| {
                let mut command = place.mailbox.command(sweep.command);
                place.mailbox.finish(command.stdin(input(&place.mailbox)))
            };
            let mut again = import(&place);
            // One of the two files had its name: it says so, and a build brings all numbers back.
            if again.errors().contains("the index must be mended first") {
                place.put_right().unwrap_or_else(|why| fail(why));
                again = import(&place).ok();
            }
            let listed = place.put_right().unwrap_or_else(|why| fail(why));
            match again.code() {
                Some(0) => like_undisturbed(&listed, &expected, last_listed).unwrap_or_else(|why| fail(why)),
                Some(3) if build_first => refused += 1,
                _ => fail(again.to_string()),
            }
            untouched(&before, &oracle::untouchable(&place.mailbox)).unwrap_or_else(|why| fail(why));
            if place.history.last() < last {
                fail("UIDNEXT fell".into());
            }
        }
    }
    Tally::CrashPoints.add(kills);
    Tally::Faults.add(faults);
    figures(&format!(
        "killed {}: {tried} tries, {kills} kills, {faults} errors, {refused} had numbers of a build by then",
        sweep.name
    ));
    assert!(kills + faults >= tried && refused > 0 && refused < tried / 2);
}

#[test]
fn imports_killed_at_every_call() {
    if !strace_works() {
        return skipped("imports killed at every system call", STRACE);
    }
    for (sweep, last_listed) in [(IMPORT, 49), (IMPORT_ABOVE, 89)] {
        let calls = sweep.call_points();
        let errors: Vec<_> = calls
            .iter()
            .filter_map(|(name, nth)| {
                let error = match &**name {
                    "fallocate" | "pwrite64" => "ENOSPC",
                    "fsync" => "EIO",
                    _ => return None,
                };
                Some(Kill::Error(name.clone(), *nth, error))
            })
            .collect();
        assert!(errors.len() > 8, "{errors:?}");
        let kills = calls.into_iter().map(|(name, nth)| Kill::Call(name, nth));
        killed_imports(&sweep, last_listed, kills.chain(errors));
    }
}

#[test]
fn imports_killed_at_stores() {
    for (sweep, last_listed) in [(IMPORT, 49), (IMPORT_ABOVE, 89)] {
        let step = if long() { 1 } else { sweep.step };
        killed_imports(&sweep, last_listed, (1..=sweep.store_points()).step_by(step).map(Kill::Store));
    }
}
/// Beside the mail that was there one may have come, whole, and something in tmp/.
fn delivered(before: &Files, after: &Files) -> Result<(), String> {
    let new = mail(NEW_CONTENTS).into_bytes();
    let mut after = after.clone();
    let came = after.iter().filter(|(path, (text, ..))| path.starts_with("new/") && *text == new).count();
    after.retain(|path, (text, ..)| !path.starts_with("tmp/") && *text != new);
    if came <= 1 { untouched(before, &after) } else { Err(format!("{came} times: {after:?}")) }
}

/// Mail 3 is there, or gone; nothing else has changed. In tmp/ may be left what was to go.
fn expunged(before: &Files, after: &Files) -> Result<(), String> {
    let old = mail("mail 3").into_bytes();
    let without = |files: &Files| -> Files {
        files.iter().filter(|(_, (text, ..))| *text != old).map(|(path, file)| (path.clone(), file.clone())).collect()
    };
    untouched(&without(before), &without(after))
}

pub const EXPUNGE: Sweep = Sweep {
    name: "expunge",
    folder: built,
    command: &["expunge", "3"],
    mail: expunged,
    left: Left::SomeOfIt,
    step: 1,
    beside: nothing,
};

pub const DELIVER: Sweep = Sweep {
    name: "deliver",
    folder: built,
    command: &["deliver"],
    mail: delivered,
    left: Left::SomeOfIt,
    step: 1,
    beside: nothing,
};

macro_rules! sweeps {
    ($($calls:ident, $stores:ident: $sweep:expr;)*) => {$(
        #[test]
        fn $calls() {
            $sweep.calls();
        }

        #[test]
        fn $stores() {
            $sweep.stores();
        }
    )*};
}

sweeps! {
    first_build_killed_at_every_call, first_build_killed_at_every_store: BUILD;
    refresh_killed_at_every_call, refresh_killed_at_every_store: REFRESH;
    reader_killed_at_every_call, reader_killed_at_every_store: READER;
    growing_file_killed_at_every_call, growing_file_killed_at_stores: NEXT_BLOCK;
    // Killed between the rename of the new offsets file and the removal of the old index, a rebuild left that for ever.
    lost_offsets_killed_at_every_call, lost_offsets_killed_at_stores: OFFSETS_LOST;
    damaged_offsets_killed_at_every_call, damaged_offsets_killed_at_stores: OFFSETS_DAMAGED;
    lost_index_killed_at_every_call, lost_index_killed_at_stores: INDEX_LOST;
    damaged_index_killed_at_every_call, damaged_index_killed_at_stores: INDEX_DAMAGED;
    copy_taken_over_killed_at_every_call, copy_taken_over_killed_at_every_store: COPIED;
    repair_killed_at_every_call, repair_killed_at_stores: REPAIR;
    repair_of_a_lost_file_killed_at_every_call, repair_of_a_lost_file_killed_at_stores: REPAIR_LOST;
    compaction_killed_at_every_call, compaction_killed_at_every_store: COMPACT;
    replace_killed_at_every_call, replace_killed_at_every_store: REPLACE;
    expunge_killed_at_every_call, expunge_killed_at_every_store: EXPUNGE;
    delivery_killed_at_every_call, delivery_killed_at_every_store: DELIVER;
    flag_killed_at_every_call, flag_killed_at_every_store: FLAG;
    flags_of_many_killed_at_every_call, flags_of_many_killed_at_stores: FLAG_MANY;
    inc_killed_at_every_call, inc_killed_at_stores: INC;
}

#[test]
fn failed_sync_killed_at_every_call() {
    if strace_works() {
        SYNC_FAILED.calls();
        SYNC_FAILED.stores();
    } else {
        skipped("kill sweep after a failed sync", STRACE);
    }
}

#[test]
fn recovery_killed_at_stores() {
    REFRESH.pairs();
    BUILD.pairs();
    OFFSETS_LOST.pairs();
    INDEX_LOST.pairs();
}

/// Once the new mail was in its place a full disk left the old one removed, or both there, and said that it failed.
#[test]
fn a_replace_that_fails_leaves_the_folder_as_it_was() {
    if !strace_works() {
        return skipped("errors of system calls in replace", STRACE);
    }
    let (mut failed, mut done) = (0, 0);
    for (name, nth) in REPLACE.call_points() {
        let error = match &*name {
            "fallocate" | "pwrite64" | "linkat" => "ENOSPC",
            "openat" => "EOPNOTSUPP", // files without a name, among others
            "fsync" | "renameat2" | "fchmod" | "utimensat" => "EIO",
            _ => continue,
        };
        let mut place = (REPLACE.folder)();
        let before = oracle::untouchable(&place.mailbox);
        let at = Kill::Error(name, nth, error);
        let judge = if kill(&place.mailbox, REPLACE.command, &at).expect("told, or done all the same") {
            failed += 1;
            untouched
        } else {
            done += 1;
            replaced
        };
        judge(&before, &oracle::untouchable(&place.mailbox)).unwrap_or_else(|why| panic!("{at:?}: {why}"));
        place.put_right().unwrap_or_else(|why| panic!("{at:?}: {why}"));
    }
    Tally::Faults.add(failed + done);
    figures(&format!("errors in replace: {failed} told, {done} without harm"));
    assert!(failed > 8, "{failed} failed, {done} did not");
}

/// Whatever call fails, the mail is safe and all is well, or nothing was delivered and the server tries again.
#[test]
fn a_delivery_that_fails_at_any_call_is_75_or_delivered() {
    if !strace_works() {
        return skipped("errors of system calls in deliver", STRACE);
    }
    let (mut failed, mut done) = (0, 0);
    for (name, nth) in DELIVER.call_points() {
        for error in ["ENOSPC", "EIO", "EACCES"] {
            let mut place = (DELIVER.folder)();
            let before = oracle::untouchable(&place.mailbox);
            let inject = format!("inject={name}:error={error}:when={nth}");
            let command = place.mailbox.command(DELIVER.command);
            let mut command = under_strace(&command, "/dev/null".as_ref(), Some(&inject));
            let run = place.mailbox.finish(command.stdin(input(&place.mailbox)));
            let after = oracle::untouchable(&place.mailbox);
            let came = after.len() - before.len();
            match run.code() {
                Some(0) => done += 1,
                Some(75) => failed += 1,
                _ => panic!("{inject}: {run}"),
            }
            assert_eq!(came, usize::from(run.code() == Some(0)), "{inject}: {run}");
            delivered(&before, &after).unwrap_or_else(|why| panic!("{inject}: {why}"));
            place.put_right().unwrap_or_else(|why| panic!("{inject}: {why}"));
        }
    }
    Tally::Faults.add(failed + done);
    figures(&format!("errors in deliver: {failed} told, {done} delivered all the same, none half done"));
    assert!(failed > 3 && done > 8, "{failed} failed, {done} did not");
}

/// Where a file system cannot rename without replacing, a second link is made and the first removed. If that failed, as
/// when somebody else had renamed the mail in between, the mail was there twice.
#[test]
fn mail_is_never_there_twice_where_a_file_system_cannot_rename_without_replacing() {
    if !strace_works() {
        return skipped("renaming by links", STRACE);
    }
    let flag = |fails: Option<&str>, code| {
        let place = built();
        let command = place.mailbox.command(["flag", "+F", "3"]);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "trace=renameat2,unlinkat"]);
        strace.args(["-e", "inject=renameat2:error=EINVAL"]);
        strace.args(fails.iter().flat_map(|fails| ["-e", fails]));
        place.mailbox.finish(strace.arg(command.get_program()).args(command.get_args())).fails_with(code);
        let named = |name: &str| place.mailbox.file(name).exists();
        (named("cur/3.host:2,"), named("cur/3.host:2,F"))
    };
    assert_eq!(flag(None, 0), (false, true));
    assert_eq!(flag(Some("inject=unlinkat:error=EACCES:when=1"), 4), (true, false));
}

#[test]
fn a_full_disk_is_told_and_harms_nothing() {
    for sweep in [BUILD, REFRESH, NEXT_BLOCK, OFFSETS_LOST, INDEX_LOST, COMPACT] {
        sweep.errors("fallocate", "ENOSPC");
        sweep.errors("pwrite64", "ENOSPC");
    }
}

#[test]
fn a_failed_sync_is_told_and_the_next_build_starts_anew() {
    for sweep in [BUILD, REFRESH, OFFSETS_LOST, INDEX_LOST, COMPACT] {
        sweep.errors("fsync", "EIO");
    }
    let failed = sync_failed();
    assert!(oracle::own_files(&failed.mailbox).contains("maildex.index.1"));
    failed.mailbox.run(["build"]).ok();
    assert!(oracle::own_files(&failed.mailbox).contains("maildex.index.2"), "a new generation");
}

/// Who has mapped the index before a compaction and does not know that it was killed, or that it came to its end, adds mail
/// afterwards: no UID may name two mails. (Without the look at the inode of `maildex.offsets` one does.)
#[test]
fn an_old_map_adds_mail_after_a_killed_compaction() {
    let calls = if strace_works() {
        COMPACT.call_points()
    } else {
        skipped("an old map after a compaction killed at every system call", STRACE);
        Vec::new()
    };
    let stores = (1..=COMPACT.store_points()).step_by(if long() { 1 } else { 7 }).map(Kill::Store);
    let points: Vec<_> = calls.into_iter().map(|(name, nth)| Kill::Call(name, nth)).chain(stores).collect();
    let (mut kills, tried) = (0, points.len());
    for point in points {
        let mut place = refreshed();
        let mut folder = Folder::open(&place.mailbox.path()).expect("open the folder");
        folder.stay_open().expect("say so");
        folder.complete_index().and_then(|index| index.snapshot().map(drop)).expect("map the index");
        kills += usize::from(kill(&place.mailbox, &["compact", "--force", "--wait", "0"], &point).expect("a run"));
        for round in 0..3 {
            let last = place.history.last();
            place.mailbox.deliver(format!("new/{}.watcher", 9_999_999_990u64 + round), mail(&format!("round {round}")));
            let go_on = &mut |_| std::ops::ControlFlow::Continue(());
            let wait = Wait::For(std::time::Duration::from_secs(30));
            build(&folder, Options::default(), wait, &mut |_| (), go_on)
                .unwrap_or_else(|error| panic!("{point:?}: {error}"));
            let listed = place.put_right().unwrap_or_else(|why| panic!("{point:?}, round {round}: {why}"));
            let newest = listed.last().expect("a mail was delivered");
            assert!(
                newest.mail.message_id == format!("round.{round}@example.org") && newest.uid > last,
                "{point:?}: {newest:?}"
            );
            place.run(&["compact", "--force", "--wait", "0"], 0).unwrap_or_else(|why| panic!("{point:?}: {why}"));
            folder.attend().expect("attend");
        }
    }
    // Of the calls counted beforehand it does not make those for a file that the watcher has made already.
    assert!(kills + 3 >= tried, "{kills} kills for {tried} points");
    Tally::CrashPoints.add(kills);
    figures(&format!("an old map beside killed compactions: {tried} points, {kills} kills, no UID twice"));
}
