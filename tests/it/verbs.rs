//! Every verb that writes, with a folder to run it on and what it may do to the mail: for the tests that kill it at each
//! step (`crash.rs`) and those that let each of its calls fail (`faults.rs`). Those of one folder are in `crash.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::crash::{
    BUILD, COMPACT, COPIED, DELIVER, EXPUNGE, FLAG, FLAG_MANY, IMPORT, IMPORT_ABOVE, INC, INDEX_LOST, NEXT_BLOCK,
    OFFSETS_LOST, READER, REFRESH, REPAIR, REPLACE, built, grown, untouched,
};
use crate::mailbox::{Mailbox, mail, maildex};
use crate::sweep::{Files, Kill, Left, Place, Sweep, dest, kill, nothing};

/// All of them, some on several folders.
pub const ALL: [(&str, Sweep); 27] = [
    ("build", BUILD),
    ("refresh", REFRESH),
    ("reader", READER),
    ("next_block", NEXT_BLOCK),
    ("offsets_lost", OFFSETS_LOST),
    ("index_lost", INDEX_LOST),
    ("copied", COPIED),
    ("repair", REPAIR),
    ("flag", FLAG),
    ("flag_many", FLAG_MANY),
    ("inc", INC),
    ("compact", COMPACT),
    ("replace", REPLACE),
    ("expunge", EXPUNGE),
    ("deliver", DELIVER),
    ("import", IMPORT),
    ("import_above", IMPORT_ABOVE),
    ("move", MOVE),
    ("copy", COPY),
    ("dedupe", DEDUPE),
    ("export", EXPORT),
    ("export_dovecot", EXPORT_DOVECOT),
    ("lock_run", LOCK_RUN),
    ("lock_acquire", LOCK_ACQUIRE),
    ("lock_break", LOCK_BREAK),
    ("changes", CHANGES),
    ("watch", WATCH),
];

pub const MOVE: Sweep = Sweep {
    name: "move",
    folder: two,
    command: &["move", "dest", "2:3"],
    mail: moved,
    left: Left::SomeOfIt,
    step: 1,
    beside: of_dest,
};
pub const COPY: Sweep = Sweep { name: "copy", command: &["copy", "dest", "2:3"], mail: copied, ..MOVE };

pub const DEDUPE: Sweep = Sweep {
    name: "dedupe",
    folder: doubled,
    command: &["dedupe"],
    mail: deduped,
    left: Left::SameWhenRunAgain,
    beside: nothing,
    ..MOVE
};

pub const EXPORT: Sweep = Sweep {
    name: "uids export",
    folder: built,
    command: &["uids", "export", "list"],
    mail: untouched,
    left: Left::SameWhenRunAgain,
    step: 1,
    beside: exported,
};
/// Into the list of Dovecot, which is there already.
pub const EXPORT_DOVECOT: Sweep = Sweep {
    name: "uids export to Dovecot",
    folder: beside_dovecot,
    command: &["uids", "export", "inbox/dovecot-uidlist"],
    beside: of_dovecot,
    ..EXPORT
};

pub const LOCK_RUN: Sweep =
    Sweep { name: "lock run", folder: built, command: &["lock", "run", "--", "true"], beside: nothing, ..EXPORT };
pub const LOCK_ACQUIRE: Sweep = Sweep {
    name: "lock acquire",
    command: &["sh", r#""$maildex" lock acquire "$F" --pid $$ >/dev/null && "$maildex" lock release "$F""#],
    ..LOCK_RUN
};
pub const LOCK_BREAK: Sweep = Sweep { name: "lock break", folder: stale, command: &["lock", "break"], ..LOCK_RUN };
pub const CHANGES: Sweep = Sweep {
    name: "changes --state",
    folder: grown,
    command: &["changes", "--state", "state"],
    beside: state,
    ..EXPORT
};
pub const WATCH: Sweep = Sweep {
    name: "watch",
    folder: grown,
    command: &["watch", "--once", "--since", "0"],
    mail: untouched,
    beside: nothing,
    ..EXPORT
};

/// Mail in this folder, and some in another one.
fn two() -> Place {
    let place = built();
    let dest = dest(&place.mailbox);
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(dest.join(sub)).expect("make the folder");
    }
    fs::write(dest.join("cur/99.host:2,"), mail("mail 99")).expect("write the mail");
    on_dest(&place.mailbox, &["build"]).expect("its first build");
    place
}

fn on_dest(mailbox: &Mailbox, words: &[&str]) -> Result<String, String> {
    let mut command = std::process::Command::new(maildex());
    let run = mailbox.finish(command.arg(words[0]).arg(dest(mailbox)).args(&words[1..]));
    if run.code() == Some(0) { Ok(run.text()) } else { Err(run.to_string()) }
}

/// The other folder is sound, and lists what is in it.
fn of_dest(mailbox: &Mailbox) -> Result<String, String> {
    on_dest(mailbox, &["build"])?;
    on_dest(mailbox, &["check"])?;
    let listed = on_dest(mailbox, &["list", "--format", "{flags} {subject}"])?;
    let mut lines: Vec<_> = listed.lines().map(String::from).collect();
    lines.sort();
    let count = |sub| fs::read_dir(dest(mailbox).join(sub)).expect("list it").count();
    let there = count("new") + count("cur");
    if lines.len() == there { Ok(lines.join("\n")) } else { Err(format!("{there} in dest, listed: {listed}")) }
}

/// What names a mail wherever it is.
fn by_file(files: &Files) -> Vec<(Vec<u8>, u64, std::time::SystemTime)> {
    let mut files: Vec<_> = files.values().cloned().collect();
    files.sort();
    files
}

/// Each mail is in one of the folders, as it was; only the two that were to move have.
fn moved(before: &Files, after: &Files) -> Result<(), String> {
    let stayed = |files: &Files| -> Files {
        let is_to_move = |path: &str| ["2.host", "3.host"].iter().any(|base| path.contains(&format!("/{base}:")));
        files.iter().filter(|(path, _)| !is_to_move(path)).map(|(path, file)| (path.clone(), file.clone())).collect()
    };
    if by_file(before) != by_file(after) {
        return Err(format!("before: {:?}, after: {:?}", before.keys(), after.keys()));
    }
    untouched(&stayed(before), &stayed(after))
}

/// Nothing has gone; what has come are copies of the two mails, each once, and perhaps something in tmp/.
fn copied(before: &Files, after: &Files) -> Result<(), String> {
    let mut after = after.clone();
    let came: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).cloned().collect();
    let came: Vec<_> = came.into_iter().map(|path| (after.remove(&path).expect("it came"), path)).collect();
    untouched(before, &after)?;
    let wanted = [mail("mail 2").into_bytes(), mail("mail 3").into_bytes()];
    let mut texts = BTreeSet::new();
    for ((text, ..), path) in came.iter().filter(|(_, path)| !path.starts_with("dest/tmp/")) {
        if !path.starts_with("dest/") || !wanted.contains(text) || !texts.insert(text) {
            return Err(format!("{path} came, of {:?}", came.iter().map(|(_, path)| path)));
        }
    }
    Ok(())
}

/// Three of one mail with different flags, two of another one, and some others.
fn doubled() -> Place {
    let mailbox = Mailbox::in_memory()
        .messages(2)
        .message("cur/3.host:2,T", mail("mail 1"))
        .message("cur/4.host:2,Sa", mail("mail 1"))
        .message("new/5.host", mail("mail 2"))
        .message("cur/6.host:2,F", mail("mail 6"));
    Place::new(mailbox).build()
}

/// Of each mail one is left at least, and that has all flags that any of them had, unless all are there; names change by
/// flags only.
fn deduped(before: &Files, after: &Files) -> Result<(), String> {
    let texts = |files: &Files| files.values().map(|(text, ..)| text.clone()).collect::<BTreeSet<_>>();
    let bases = |files: &Files| -> BTreeMap<String, Vec<u8>> {
        let in_folder = files.iter().filter(|(path, _)| !path.starts_with("tmp/"));
        let base = |path: &str| path.split(['/', ':']).nth(1).unwrap_or("").to_string();
        in_folder.map(|(path, (text, ..))| (base(path), text.clone())).collect()
    };
    let (was, is) = (bases(before), bases(after));
    let in_place: Files =
        after.iter().filter(|(path, _)| !path.starts_with("tmp/")).map(|(p, f)| (p.clone(), f.clone())).collect();
    if texts(before) != texts(&in_place) || is.iter().any(|(base, text)| was.get(base) != Some(text)) {
        return Err(format!("before: {:?}, after: {:?}", before.keys(), after.keys()));
    }
    let flags_stay = |base: &str, letter: char| {
        let path = after.keys().find(|path| path.contains(&format!("/{base}:")));
        path.is_some_and(|path| path.contains(letter))
    };
    // The flag of one that is gone is on the one that stays.
    if !is.contains_key("4.host") && !flags_stay("1.host", 'S') {
        return Err(format!("a flag is lost: {:?}", after.keys()));
    }
    Ok(())
}

/// A list of our own: the whole of it or nothing.
fn exported(mailbox: &Mailbox) -> Result<String, String> {
    match fs::read_to_string(mailbox.path().with_file_name("list")) {
        Err(_) => Ok(String::new()),
        Ok(text) if text.lines().count() == 13 && text.ends_with('\n') => Ok("all".into()),
        Ok(text) => Err(format!("half a list: {text}")),
    }
}

const DOVECOT: &str = "3 V1000 N50 G0123456789abcdef0123456789abcdef\n";

fn beside_dovecot() -> Place {
    let place = built();
    fs::write(place.mailbox.file("dovecot-uidlist"), DOVECOT).expect("write the list");
    place
}

/// That of Dovecot: the old one or the new one, and its lock is free.
fn of_dovecot(mailbox: &Mailbox) -> Result<String, String> {
    let text = fs::read_to_string(mailbox.file("dovecot-uidlist")).map_err(|error| error.to_string())?;
    if text == DOVECOT {
        return Ok(String::new());
    }
    let lines = text.lines().count();
    if lines == 13 && text.ends_with('\n') { Ok("all".into()) } else { Err(format!("half a list: {text}")) }
}

/// With the lockfile of a writer that was killed.
fn stale() -> Place {
    let place = built();
    place.mailbox.deliver("new/13.host", mail("mail 13"));
    assert!(kill(&place.mailbox, &["build"], &Kill::Store(1)).expect("a run"));
    assert!(place.mailbox.file("maildex.lock").exists());
    place
}

/// What `changes` is to remember: all of it or nothing.
fn state(mailbox: &Mailbox) -> Result<String, String> {
    match fs::read_to_string(mailbox.path().with_file_name("state")) {
        Err(_) => Ok(String::new()),
        Ok(text) if text.lines().count() == 1 && text.len() > 40 && text.ends_with('\n') => Ok("all".into()),
        Ok(text) => Err(format!("half a token: {text}")),
    }
}
