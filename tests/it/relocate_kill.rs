//! `maildex move`, killed at every step: no mail is lost, and none doubled where one rename moves it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::mailbox::{Mailbox, figures, forbidden, long, mail, skipped};
use crate::relocate::{Two, files};
use crate::sweep::{STRACE, changing_calls, strace_works, under_strace};
use crate::tally::Tally;

/// All mail is in at least one of the folders, and in no more than one where a rename moves it; each folder is indexed as it
/// is, and no UID stands for another mail than before.
fn is_right(two: &Two, before: &BTreeMap<u64, String>, may_be_twice: bool) -> Result<(), String> {
    let numbers = |folder: &Path| {
        let run = two.run(&["list", "--json"], folder).ok();
        let number = |record: &serde_json::Value| {
            (record["uid"].as_u64().expect("a UID"), record["subject"].as_str().expect("a subject").to_string())
        };
        run.json().iter().map(number).collect::<BTreeMap<_, _>>()
    };
    let mut found = BTreeMap::new();
    for folder in [&two.mail.path(), &two.dest] {
        let names = files(folder);
        let names = names.iter().filter(|name| !name.starts_with("tmp/"));
        let texts = names.map(|name| fs::read_to_string(folder.join(name)).expect("read"));
        texts.for_each(|text| *found.entry(text).or_insert(0) += 1);
        two.run(&["build"], folder).ok();
        two.run(&["check"], folder).ok();
        let mails = files(folder).iter().filter(|name| !name.starts_with("tmp/")).count();
        two.run(&["count"], folder).ok().stdout(format!("{mails}\n"));
    }
    let expected: BTreeMap<_, _> = (1..=5).map(|n| (mail(&format!("mail {n}")), 1)).collect();
    if !found.keys().eq(expected.keys()) || (!may_be_twice && found != expected) {
        return Err(format!("mail: {found:#?}"));
    }
    let now = numbers(&two.mail.path());
    match now.iter().find(|(uid, subject)| before.get(uid).is_some_and(|before| before != *subject)) {
        Some(wrong) => Err(format!("WRONG UID: {wrong:?}, before: {before:?}")),
        None => Ok(()),
    }
}

/// Kills `move` at every call and every store. The other folder is in `place`.
/// Of the steps only every so-manieth is tried, but with `MAILDEX_LONG=1` all.
fn sweep(what: &str, place: &Path, may_be_twice: bool, step: usize) {
    if !strace_works() {
        return skipped("kill sweep of move", STRACE);
    }
    let start = || {
        let mail = Mailbox::in_memory().messages(4);
        mail.run(["build"]).ok();
        let inner = tempfile::tempdir_in(place).expect("a directory");
        let two = Two { dest: inner.path().join("dest"), mail };
        fs::create_dir(&two.dest).expect("mkdir");
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir(two.dest.join(sub)).expect("mkdir");
        }
        fs::write(two.dest.join("cur/5.host:2,"), self::mail("mail 5")).expect("write");
        two.run(&["build"], &two.dest).ok();
        (two, inner)
    };
    let command = |two: &Two| two.mail.command(["move", two.dest(), "2:3"]);
    let before: BTreeMap<_, _> = (1..=4).map(|n| (n, format!("mail {n}"))).collect();
    let (two, _inner) = start();
    let log = tempfile::NamedTempFile::new().expect("a file");
    two.mail.finish(&mut under_strace(&command(&two), log.path(), None)).ok();
    let calls = changing_calls(&fs::read_to_string(log.path()).expect("read"));
    assert!(calls.len() > 15, "{calls:?}");
    let (mut killed, mut failures) = (0, Vec::new());
    let mut judge = |two: &Two, at: String| {
        let mut failed = is_right(two, &before, may_be_twice).err();
        // Once more, as a person does.
        let _ = two.mail.finish(&mut command(two));
        failed = failed.or_else(|| is_right(two, &before, may_be_twice).err());
        failures.extend(failed.map(|why| format!("{at}: {why}")));
    };
    let step = if long() { 1 } else { step };
    for (name, nth) in calls.iter().step_by(step) {
        let (two, _inner) = start();
        let inject = format!("inject={name}:signal=KILL:when={nth}");
        let run = two.mail.finish(&mut under_strace(&command(&two), "/dev/null".as_ref(), Some(&inject)));
        killed += usize::from(run.code().is_none());
        judge(&two, inject);
    }
    let of_calls = killed;
    for nth in (1..).step_by(step) {
        let (two, _inner) = start();
        let run = two.mail.finish(command(&two).env("MAILDEX_KILL_AT", nth.to_string()));
        if run.code() == Some(0) {
            assert!(nth > 8, "the program under test was built without the feature failpoints");
            break;
        }
        killed += 1;
        judge(&two, format!("store {nth}"));
    }
    let wrong = failures.iter().filter(|why| why.contains("WRONG UID")).count();
    Tally::CrashPoints.add(killed);
    figures(&format!(
        "kill sweep {what}: {of_calls} kills at {} calls, {} at stores, {} failures, {wrong} wrong UIDs",
        calls.len(),
        killed - of_calls,
        failures.len()
    ));
    assert!(failures.is_empty(), "{} failures, the first:\n{}", failures.len(), failures[0]);
    assert_eq!(of_calls, calls.len().div_ceil(step), "each kill is one");
}

#[test]
fn a_move_that_is_killed_at_any_step_leaves_each_mail_once() {
    let place = Mailbox::in_memory();
    sweep("move", &place.path(), false, 2);
}

#[test]
fn a_move_to_another_file_system_that_is_killed_at_any_step_loses_nothing() {
    let dev = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    let place = std::env::temp_dir();
    if dev(&place) == dev(&Mailbox::in_memory().path()) {
        return forbidden("a move to another file system", "have /dev/shm on a file system of its own");
    }
    sweep("move to another file system", &place, true, 7);
}
