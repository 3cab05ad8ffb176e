//! `maildex repair`: what was wrong is found and mended, field by field, and no UID ever names another mail.

use std::collections::BTreeMap;
use std::fs;

use maildex::folder::Folder;
use maildex::lock::Wait;
use maildex::sample;

use crate::mailbox::{Mailbox, figures, installed, long, mail, skipped};
use crate::tally::Tally;

/// UIDs 1, 3 and 5 of 5 are left.
fn indexed() -> Mailbox {
    let mail = Mailbox::new().messages(5);
    mail.run(["build"]).ok();
    for name in ["cur/2.host:2,", "cur/4.host:2,"] {
        mail.remove(name);
    }
    mail.rename("cur/3.host:2,", "cur/3.host:2,S");
    mail.run(["build"]).ok();
    mail
}

const LEFT: [(u64, &str); 3] = [(1, "cur/1.host:2,"), (3, "cur/3.host:2,S"), (5, "cur/5.host:2,")];
const FILES: [&str; 2] = ["maildex.offsets", "maildex.index.1"];
/// Of the columns of the first block.
const STATUS: usize = 4096;
const CHANGED: usize = 2 * 4096;
const HASH: usize = 4 * 4096;
const UID: usize = 6 * 4096;
const COUNT: usize = 128;

/// What is done to a file.
type Lose = fn(&mut Vec<u8>);

fn uidvalidity(mail: &Mailbox) -> u64 {
    mail.run(["list", "--json", "--last", "1"]).ok().json()[0]["uidvalidity"].as_u64().expect("a number")
}

/// The mail in new/ and cur/, with its contents.
fn mails(mail: &Mailbox) -> BTreeMap<std::ffi::OsString, Vec<u8>> {
    mail.mails().into_iter().map(|name| (name.clone(), fs::read(mail.file(&name)).expect("read the mail"))).collect()
}

#[test]
fn a_sound_index_is_left_alone() {
    let mail = indexed();
    let files = mail.own_files();
    mail.run(["repair", "--dry-run"]).ok().silent().stdout_has("nothing to mend");
    assert_eq!(mail.own_files(), files);
    mail.run(["repair"]).ok().silent().stdout_has("nothing to mend");
    mail.assert_listed(&LEFT);
    mail.run(["changes", "--since", "0"]).ok();
    mail.assert_sound();
    Mailbox::new().messages(1).run(["repair"]).fails_with(3).stderr_has("no index").stderr_has("hint: make one");
}

/// An index that lags behind is not damaged, and repair brings it up to date.
#[test]
fn an_index_that_is_behind_has_nothing_to_mend() {
    let mail = indexed();
    mail.deliver("new/6.host", self::mail("mail 6"));
    mail.rename("cur/1.host:2,", "cur/1.host:2,F");
    mail.run(["repair"]).ok().silent().stdout_has("nothing to mend");
    mail.assert_listed(&[(1, "cur/1.host:2,F"), LEFT[1], LEFT[2], (6, "new/6.host")]);
    mail.assert_sound();
}

#[test]
fn each_damage_is_told_with_what_is_made_of_it() {
    let damages: [(&str, usize, &str); 8] = [
        (FILES[0], 20, "header crc: found 0x"),
        (FILES[0], COUNT, "count: found a wrong checksum, "),
        (FILES[0], STATUS + 16, "status of slot 2: found 0x"),
        (FILES[0], CHANGED, "change number of slot 0: found 0x"),
        (FILES[0], HASH + 32, "base name hash"),
        (FILES[0], UID + 16, "uid of slot 2"),
        (FILES[1], 30, "header crc: found 0x"),
        (FILES[1], 4096 + 80, "crc of the entry of UID 1: found 0x"),
    ];
    let made = [
        "made it anew",
        "made 3",
        "made UID 3, flags as in its file name",
        "made UID 1, changed now",
        "made UID 5, from its entry",
        "made UID 3, from its entry",
        "made it anew",
        "made UID 1, read again from ",
    ];
    for ((name, at, what), made) in damages.into_iter().zip(made) {
        let mail = indexed();
        let validity = uidvalidity(&mail);
        let before = mails(&mail);
        mail.edit(name, |bytes| bytes[at] ^= 4);
        let damaged = mail.own_files();
        let would = mail.run(["repair", "--dry-run"]).ok().stdout_has(what);
        let would_make = made.replace("made", "would make");
        would.stdout_has(&would_make).stdout_has("3 messages would keep their UIDs");
        assert_eq!(mail.own_files(), damaged, "a dry run changes nothing");
        let run = mail.run(["repair"]).ok().stdout_has(what);
        run.stdout_has(made).stdout_has("3 messages kept their UIDs").stdout_has(name);
        mail.assert_listed(&LEFT);
        assert_eq!((uidvalidity(&mail), mails(&mail)), (validity, before));
        mail.run(["check", "--deep"]).ok();
        mail.run(["repair"]).ok().stdout_has("nothing to mend");
        mail.deliver("new/6.host", self::mail("mail 6"));
        mail.run(["list", "--uids", "new"]).ok().stdout("6\n");
        mail.assert_sound();
    }
}

#[test]
fn both_files_damaged_in_different_places_give_all_uids_back() {
    let mail = indexed();
    mail.edit(FILES[0], |bytes| {
        bytes[..72].fill(0); // the header, which is in the other file, too
        bytes[STATUS + 16] ^= 1;
        bytes[UID] ^= 1;
    });
    let third = fs::read(mail.file(FILES[1])).expect("read the index");
    let at = third.windows(6).position(|text| text == b"mail 3").expect("its subject");
    mail.edit(FILES[1], |bytes| bytes[at] ^= 1);
    let run = mail.run(["repair", "--json"]).ok();
    let records = run.json();
    let summary = records.last().expect("a summary");
    assert_eq!(
        (&summary["finding"], &summary["kept"], &summary["read_again"], &summary["uids_lost"], &summary["left"]),
        (&"summary".into(), &3.into(), &1.into(), &0.into(), &0.into()),
        "{run}"
    );
    assert!(records[..records.len() - 1].iter().all(|record| record["made"].is_string()), "{run}");
    mail.assert_listed(&LEFT);
    mail.assert_sound();
}

/// Of random bytes in the status column one word in 64 has a right checksum, and one in 128 of these said "expunged": that
/// message lost its UID, although its mail and its entry were there.
#[test]
fn a_death_that_only_a_damaged_file_tells_of_is_not_believed_against_the_mail() {
    let mail = indexed();
    mail.edit(FILES[0], |bytes| {
        bytes.copy_within(STATUS + 8..STATUS + 16, STATUS); // UID 2 is dead; now 1 is said to be
        bytes[STATUS + 16] ^= 1;
    });
    mail.run(["repair"]).ok().stdout_has("3 messages kept their UIDs");
    mail.assert_listed(&LEFT);
    mail.assert_sound();
    // What is really dead stays dead, also if the same base name comes back on another inode.
    let mail = indexed();
    mail.deliver("cur/2.host:2,", self::mail("mail 2"));
    mail.edit(FILES[0], |bytes| bytes[STATUS + 16] ^= 1);
    mail.run(["repair"]).ok();
    assert!(mail.listed().contains(&(6, "cur/2.host:2,".to_string())), "{:?}", mail.listed());
    mail.assert_sound();
}

#[test]
fn what_writers_left_goes_away() {
    let mail = indexed();
    fs::copy(mail.file("maildex.index.1"), mail.file("maildex.index.2")).expect("a second generation");
    fs::write(mail.file("maildex.offsets.tmp"), "half").expect("a file of a killed writer");
    mail.edit("maildex.index.1", |bytes| bytes.extend([7; 100]));
    mail.run(["repair"]).ok();
    assert_eq!(mail.own_files().keys().filter(|name| name.contains("tmp") || name.contains("index.2")).count(), 0);
    mail.assert_listed(&LEFT);
    mail.assert_sound();
}

#[test]
fn a_uid_whose_mail_nothing_proves_dies_and_is_told() {
    let mail = indexed();
    mail.deliver("cur/3.host:2,S", self::mail("another one"));
    mail.remove("maildex.index.1");
    let would = mail.run(["repair", "--dry-run"]).ok();
    would.stdout_has("mail of UID 3: found ").stdout_has("would make it dead; the mail gets a new UID");
    let run = mail.run(["repair"]).fails_with(4).stdout_has("made it dead; the mail gets a new UID");
    run.stdout_has("2 messages kept their UIDs, 2 of them read from the mail again");
    mail.assert_listed(&[LEFT[0], LEFT[2], (6, "cur/3.host:2,S")]);
    mail.assert_sound();
}

#[test]
fn a_new_uidvalidity_only_where_a_person_asks_and_nothing_is_left() {
    // Where something is left it is not needed.
    let mail = indexed();
    let validity = uidvalidity(&mail);
    mail.remove("maildex.offsets");
    mail.run(["repair", "--new-uidvalidity"]).ok();
    mail.assert_listed(&LEFT);
    assert_eq!(uidvalidity(&mail), validity);

    // Both lost: each of several ways.
    let lose: [(&str, Lose); 3] = [
        ("zeroed", |bytes| bytes.fill(0)),
        ("emptied", Vec::clear),
        ("damaged behind the header", |bytes| {
            bytes[72..].fill(7);
            bytes[20] ^= 1; // in the header, too, but UIDVALIDITY can still be read
        }),
    ];
    for (how, lose) in lose {
        let mail = indexed();
        let validity = uidvalidity(&mail);
        for name in FILES {
            mail.edit(name, lose);
        }
        let lost = mail.own_files();
        for arguments in [&["build"][..], &["repair"], &["repair", "--dry-run"]] {
            let run =
                mail.run(arguments).fails_with(3).stderr_has("nothing in the index proves which UIDs were given out");
            run.stderr_shows("maildex repair ");
            assert_eq!(mail.own_files(), lost, "{how}");
        }
        let would = mail.run(["repair", "--new-uidvalidity", "--dry-run"]).ok();
        would.stdout_has("would make a new beginning: UIDVALIDITY ");
        assert_eq!(mail.own_files(), lost, "{how}");
        let before = mails(&mail);
        let run = mail.run(["repair", "--new-uidvalidity"]).ok().stdout_has("made a new beginning: UIDVALIDITY ");
        run.stdout_has("new UIDs for all mail");
        assert!(uidvalidity(&mail) > validity, "{how}: {} after {validity}", uidvalidity(&mail));
        assert_eq!(mails(&mail), before);
        mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n");
        mail.assert_sound();
    }
}

/// Both files hold a header that proves itself, and nothing else: this passed for what an early kill leaves of a first
/// build, and all mail got new UIDs under another UIDVALIDITY, at a plain `build`.
#[test]
fn two_files_that_were_cut_do_not_pass_for_a_first_build() {
    let lose: [[(usize, Lose); 2]; 3] = [
        [(0, |bytes| bytes.truncate(769)), (1, Vec::clear)],
        [(0, |bytes| bytes[4096..].fill(0)), (1, |bytes| bytes.truncate(4096))],
        [(0, |bytes| bytes.truncate(4096)), (1, |bytes| bytes.truncate(4096))],
    ];
    for how in lose {
        let mail = indexed();
        let validity = uidvalidity(&mail);
        for (file, lose) in how {
            mail.edit(FILES[file], lose);
        }
        let lost = mail.own_files();
        for arguments in [&["build"][..], &["repair"], &["repair", "--dry-run"]] {
            mail.run(arguments).fails_with(3).stderr_has("nothing in the index proves which UIDs were given out");
            assert_eq!(mail.own_files(), lost);
        }
        mail.run(["repair", "--new-uidvalidity"]).ok();
        assert!(uidvalidity(&mail) > validity);
        mail.assert_sound();
    }
    // That nothing was ever given out is not known either, where the other file is damaged; a part of the numbers is skipped.
    let mail = Mailbox::new();
    mail.run(["build"]).ok();
    mail.edit(FILES[0], |bytes| bytes.fill(0));
    mail.deliver("new/1.host", self::mail("mail 1"));
    mail.run(["build"]).ok();
    assert!(mail.listed()[0].0 > 1_000_000, "{:?}", mail.listed());
    mail.assert_sound();
}

/// A dry run said that all was well, and what it announced was then refused.
#[test]
fn a_dry_run_is_held_back_as_the_real_one_is() {
    // Most is gone at once; or little, but its directory is not there, as before a disk is mounted.
    for (messages, lost) in [(30, "mail"), (3, "directory")] {
        let mail = Mailbox::new().messages(messages);
        mail.run(["build"]).ok();
        fs::rename(mail.file("cur"), mail.file("cur.away")).expect("move cur/ away");
        if lost == "mail" {
            fs::create_dir(mail.file("cur")).expect("make cur/");
        }
        mail.remove(FILES[1]);
        let before = mail.own_files();
        for arguments in [&["repair", "--dry-run"][..], &["repair"], &["build"]] {
            let run = mail.run(arguments).fails_with(3);
            run.stderr_shows(&format!("{messages} of {messages} messages whose entries are lost are gone at once"));
            run.stderr_shows("--accept-removals");
            assert_eq!(mail.own_files(), before, "{arguments:?}");
        }
        mail.run(["repair", "--dry-run", "--accept-removals"]).ok().stdout_has("would make it dead");
        let _ = fs::remove_dir(mail.file("cur"));
        fs::rename(mail.file("cur.away"), mail.file("cur")).expect("put cur/ back");
        mail.run(["repair"]).ok().stdout_has(&format!("{messages} messages kept their UIDs"));
        mail.assert_sound();
    }
}

/// A flipped bit in the version was told as the work of another program, which nobody could be rid of.
#[test]
fn a_flipped_bit_of_the_version_is_damage_like_any_other() {
    for name in FILES {
        let mail = indexed();
        mail.edit(name, |bytes| bytes[8] ^= 2);
        mail.run(["check"]).fails_with(1).stdout_has("version: found 3, expected 1");
        mail.run(["repair"]).ok().stdout_has("version: found 3, made it anew");
        mail.assert_listed(&LEFT);
        mail.assert_sound();
    }
}

/// The time in seconds is not always greater than the last UIDVALIDITY, which may have been imported.
#[test]
fn a_new_uidvalidity_is_greater_than_what_can_be_read_of_the_old_one() {
    let mail = indexed();
    for name in FILES {
        mail.edit(name, |bytes| {
            bytes[64..68].copy_from_slice(&4_000_000_000u32.to_le_bytes());
            bytes[4096..].fill(0);
        });
    }
    let run = mail.run(["repair", "--new-uidvalidity"]).ok();
    run.stdout_has("UIDVALIDITY 4000000001 instead of 4000000000");
    assert_eq!(uidvalidity(&mail), 4_000_000_001);
    mail.assert_sound();
}

#[test]
fn names_are_put_in_order_only_when_asked() {
    let mail = Mailbox::new()
        .message("cur/1.host:2,SF", mail("mail 1"))
        .message("cur/2.host:2,SS,k", mail("mail 2"))
        .message("cur/3.host,U=3,S=9:2,S", mail("mail 3"))
        .message("new/3.host,U=3,S=9", mail("another mail 3"))
        .message("cur/4.host:2,S", mail("mail 4"));
    mail.run(["build"]).fails_with(4);
    let before = mails(&mail);
    let run = mail.run(["repair"]).fails_with(4);
    run.stderr_shows("1.host:2,SF: its flag letters are out of order; --normalise-names would rename it");
    run.stderr_shows("3.host,U=3,S=9: has the base name of another mail; --normalise-names would rename it");
    let would = mail.run(["repair", "--normalise-names", "--dry-run"]).ok();
    would
        .stdout_has("cur/1.host:2,SF: flag letters out of order, or twice: found them so")
        .stdout_has("would make it ");
    assert_eq!(mails(&mail), before, "not asked, or only what would be done");

    let run = mail.run(["repair", "--normalise-names"]).ok();
    run.stdout_has("made it ").stdout_has("/cur/1.host:2,FS");
    let after = mails(&mail);
    let texts = |mails: &BTreeMap<_, Vec<u8>>| {
        let mut texts: Vec<_> = mails.values().cloned().collect();
        texts.sort();
        texts
    };
    assert_eq!(texts(&after), texts(&before), "no mail lost, none doubled");
    for name in ["cur/1.host:2,FS", "cur/2.host:2,S,k", "cur/3.host,U=3,S=9:2,S", "cur/4.host:2,S"] {
        assert!(after.contains_key(std::ffi::OsStr::new(name)), "{after:?}");
    }
    // The UIDs stay; what had none has one now.
    let listed = mail.listed();
    assert_eq!(listed.len(), 5);
    assert_eq!(
        &listed[..4],
        [(1, "cur/1.host:2,FS"), (2, "cur/2.host:2,S,k"), (3, "cur/3.host,U=3,S=9:2,S"), (4, "cur/4.host:2,S")]
            .map(|(uid, path)| (uid, path.to_string()))
    );
    assert!(listed[4].1.starts_with("new/") && listed[4].1.ends_with(",S=9"), "{listed:?}");
    mail.run(["repair", "--normalise-names"]).ok().stdout_has("nothing to mend");
    mail.assert_sound();
}

#[test]
fn two_names_of_one_file_are_left_to_a_person() {
    let mail = indexed();
    fs::hard_link(mail.file("cur/1.host:2,"), mail.file("cur/1.host:2,F")).expect("a second link");
    let before = mails(&mail);
    let run = mail.run(["repair", "--normalise-names"]).fails_with(4);
    run.stderr_shows("is the same file as");
    run.stderr_shows("hint: remove one of the two: rm '");
    assert_eq!(mails(&mail), before);
}

#[test]
fn a_held_lock_is_waited_for_and_dovecot_is_kept_away() {
    let mail = indexed();
    mail.edit(FILES[0], |bytes| bytes[STATUS] ^= 1);
    let dotlock = mail.file("dovecot-uidlist.lock");
    fs::write(&dotlock, format!("{}:{}", std::process::id(), rustix::system::uname().nodename().to_string_lossy()))
        .expect("Dovecot's lock");
    mail.run(["repair", "--with-dovecot", "--wait", "0"]).fails_with(75).stderr_has("dovecot-uidlist.lock");
    mail.run(["repair", "--with-dovecot", "--dry-run"]).ok();
    fs::remove_file(&dotlock).expect("let go");
    mail.run(["repair", "--with-dovecot"]).ok();
    assert!(!dotlock.exists());
    mail.assert_listed(&LEFT);

    mail.edit(FILES[0].replace('1', "2").as_str(), |bytes| bytes[STATUS] ^= 1);
    let folder = Folder::open(&mail.path()).expect("open the folder");
    let lock = folder.lock("a test", Wait::For(std::time::Duration::ZERO), &mut |_| ()).expect("the lock");
    mail.run(["repair", "--wait", "0"]).fails_with(75).stderr_has("has held the lock");
    mail.run(["repair", "--dry-run"]).ok().stdout_has("status of slot 0");
    lock.release().expect("let go");
    mail.run(["repair"]).ok();
    mail.assert_listed(&LEFT);
    mail.assert_sound();
}

/// Either file, lost in each way, before and after a compaction: UIDs, flags and UIDNEXT come back.
#[test]
fn either_file_gives_everything_back() {
    let (messages, expunged) = if long() { (10_000, 500) } else { (1_000, 50) };
    let mailbox = Mailbox::in_memory();
    let folder = mailbox.file("sample");
    sample::make(&folder, messages, Wait::For(std::time::Duration::ZERO), &mut |_| (), &mut |_| ()).expect("a sample");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::mailbox::maildex());
        command.arg(arguments[0]).arg(&folder).args(&arguments[1..]);
        mailbox.finish(&mut command)
    };
    let _ = run(&["build"]);
    let listed = || {
        let run = run(&["list", "--json", "--no-refresh"]).ok();
        let rows = run.json();
        let row = |row: &serde_json::Value| {
            (
                row["uid"].as_u64().expect("a UID"),
                row["path"].to_string(),
                row["flags"].to_string(),
                row["subject"].to_string(),
            )
        };
        (rows[0]["uidvalidity"].clone(), rows.iter().map(row).collect::<Vec<_>>())
    };
    let (_, all) = listed();
    // The newest among them, and some from everywhere.
    let doomed = all.iter().rev().take(expunged / 2).chain(all.iter().step_by(all.len() / (expunged / 2)));
    for (_, path, ..) in doomed {
        let path: String = serde_json::from_str(path).expect("a path");
        let _ = fs::remove_file(path);
    }
    let _ = run(&["build"]).ok();
    let mut last = all.last().expect("a message").0;
    let mut tried = 0;
    for compacted in [false, true] {
        if compacted {
            let _ = run(&["compact"]).ok();
        }
        for half in ["maildex.offsets", "maildex.index."] {
            for (harm, verb) in [("delete", "build"), ("empty", "repair"), ("zero", "repair")] {
                let before = listed();
                let names = fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry").path());
                let file = names.into_iter().find(|path| path.to_string_lossy().contains(half)).expect("our file");
                match harm {
                    "delete" => fs::remove_file(&file).expect("delete"),
                    "empty" => fs::File::create(&file).map(drop).expect("empty"),
                    _ => {
                        let len = fs::metadata(&file).expect("stat").len() as usize;
                        fs::write(&file, vec![0; len]).expect("zero");
                    }
                }
                let _ = run(&[verb]).ok();
                assert_eq!(listed(), before, "{harm} {}", file.display());
                fs::write(folder.join(format!("new/{}.next", 3_000_000_000u64 + last)), mail("next")).expect("deliver");
                let _ = run(&["build"]).ok();
                let next = listed().1.last().expect("a message").0;
                assert_eq!(next, last + 1, "UIDNEXT after {harm} {}", file.display());
                last = next;
                let _ = run(&["check"]).ok();
                tried += 1;
            }
        }
    }
    Tally::Damages.add(tried);
    figures(&format!("either file lost: {messages} messages, {expunged} expunged, {tried} times, all UIDs back"));
}

/// The steps are printed by `repair --help`, and stand in the README.
#[test]
fn the_steps_are_those_that_work() {
    if !installed("sh") {
        return skipped("the steps of a repair", "install sh");
    }
    let mail = indexed();
    mail.edit(FILES[0], |bytes| bytes[STATUS] ^= 1);
    let steps = "maildex check F; maildex repair F --dry-run && maildex repair F && maildex check F --deep";
    let program = crate::mailbox::maildex();
    let script = steps
        .replace("maildex ", &format!("{} ", program.display()))
        .replace(" F", &format!(" {}", mail.path().display()));
    let run = mail.finish(std::process::Command::new("sh").arg("-c").arg(script)).ok();
    run.stdout_has("would make").stdout_has("made UID 1").stdout_has("no damage");
}
