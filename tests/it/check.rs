//! `maildex check` on our files: every wrong byte is told with file, offset, what was found and what was expected; nothing
//! is changed.

use std::fs;

use maildex::format::header::{Identity, Kind};
use maildex::format::status::Status;
use maildex::format::word::Number;
use maildex::maildir::Sub;
use maildex::maildir::name::Name;

use crate::mailbox::{Mailbox, Run, mail};

/// Offsets in the files, from the tables in `src/format/`.
const COUNT: usize = 128;
const COUNTER: usize = 136;
const OLDEST: usize = 144;
const MARKS: usize = 152;
const ACCOUNTED: usize = 184;
const BLOCK: usize = 4096;
const STATUS: usize = BLOCK;
const CHANGED: usize = BLOCK + 4096;
const ENTRY_AT: usize = BLOCK + 8192;
const HASH: usize = BLOCK + 12288;
const INODE: usize = BLOCK + 16384;
const UID: usize = BLOCK + 20480;
const FIRST_ENTRY: usize = 4096;

/// An index that may be behind its folder, for all that its stamps prove.
fn indexed() -> Mailbox {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail.distrust_stamps();
    mail
}

/// With this harm `check` has exactly one line for it, that begins so and has all of these.
#[track_caller]
fn finds(name: &str, at: usize, what: &[&str], harm: impl FnOnce(&mut Vec<u8>)) {
    let mail = indexed();
    mail.edit(name, harm);
    let before = mail.own_files();
    let run = mail.run(["check"]).fails_with(1);
    let start = format!("{}: offset {at}: ", mail.file(name).display());
    let text = run.text();
    let line = text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no {start} in {text}"));
    assert!(line.contains(": found ") && line.contains(", expected "), "{line}");
    for what in what {
        assert!(line.contains(what), "{what} in {line}");
    }
    assert_eq!(mail.own_files(), before, "check changes nothing");
    assert_eq!(mail.run(["check", "--quiet"]).fails_with(1).text(), text);
}

/// What was noted, but for the limits of the machine.
pub fn notes(run: &Run) -> Vec<String> {
    run.errors().lines().filter(|line| !line.contains("inotify")).map(String::from).collect()
}

/// A word of the offsets file is this one.
fn put(mail: &Mailbox, at: usize, word: u64) {
    mail.edit("maildex.offsets", |bytes| bytes[at..at + 8].copy_from_slice(&word.to_le_bytes()));
}

fn flip(bytes: &mut [u8], at: usize) {
    bytes[at] ^= 0x10;
}

#[test]
fn a_sound_index_is_said_to_be_sound() {
    let mail = indexed();
    let before = mail.own_files();
    let run = mail.run(["check"]).ok().stdout(format!("{}: 3 messages, no damage\n", mail.path().display()));
    assert_eq!(notes(&run), [""; 0]);
    assert_eq!(mail.own_files(), before);
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    mail.run(["check"]).ok().stdout_has(": 1 message, no damage");
}

#[test]
fn an_index_behind_its_folder_is_not_damaged() {
    let mail = indexed();
    mail.remove("cur/1.host:2,");
    mail.rename("cur/2.host:2,", "cur/2.host:2,S");
    mail.deliver("new/4.host", self::mail("mail 4"));
    let run = mail.run(["check"]).ok().stdout_has("3 messages, no damage");
    assert_eq!(notes(&run), [""; 0]);
    let details = mail.run(["check", "--verbose"]).ok();
    details.stderr_shows("behind the folder, which is no damage: 1 new, 1 gone, 1 changed");
}

#[test]
fn damage_in_the_header_of_the_offsets_file_is_found() {
    let file = "maildex.offsets";
    finds(file, 0, &["magic", "expected the magic"], |bytes| flip(bytes, 3));
    finds(file, 12, &["header crc"], |bytes| flip(bytes, 20));
    finds(file, 12, &["header crc"], |bytes| flip(bytes, 70));
    finds(file, COUNT, &["count", "a wrong checksum"], |bytes| flip(bytes, COUNT));
    finds(file, COUNTER, &["change counter"], |bytes| flip(bytes, COUNTER + 2));
    finds(file, OLDEST, &["oldest change"], |bytes| flip(bytes, OLDEST));
    finds(file, MARKS, &["marks"], |bytes| flip(bytes, MARKS + 7));
    finds(file, 0, &["header", "100 bytes"], |bytes| bytes.truncate(100));
    finds(file, COUNT, &["count", "found 3", "at most 0"], |bytes| bytes.truncate(4096));
}

#[test]
fn damage_in_the_header_of_the_index_file_is_found() {
    let file = "maildex.index.1";
    finds(file, 0, &["magic"], |bytes| flip(bytes, 3));
    finds(file, 12, &["header crc"], |bytes| flip(bytes, 20));
    finds(file, 0, &["header", "50 bytes"], |bytes| bytes.truncate(50));
}

#[test]
fn damage_in_a_slot_is_found() {
    let file = "maildex.offsets";
    for slot in 0..3 {
        let row = 8 * slot;
        let of_slot = format!("of slot {slot}");
        finds(file, STATUS + row, &["status", &of_slot], |bytes| flip(bytes, STATUS + row));
        finds(file, CHANGED + row, &["change number", &of_slot], |bytes| flip(bytes, CHANGED + row));
        finds(file, HASH + row, &["base name hash", &of_slot], |bytes| flip(bytes, HASH + row + 5));
        finds(file, UID + row, &["uid", &of_slot], |bytes| flip(bytes, UID + row));
        finds(file, UID + row, &["uid", &of_slot], |bytes| flip(bytes, UID + row + 6));
    }
    finds(file, UID + 8, &["uid of slot 1"], |bytes| bytes.copy_within(UID..UID + 8, UID + 8));
}

#[test]
fn a_wrong_offset_of_an_entry_is_found() {
    // The line is about the place that it leads to.
    for (slot, at, what) in
        [(0, FIRST_ENTRY as u64 + 8, "marker"), (2, FIRST_ENTRY as u64, "uid"), (1, u64::MAX, "marker")]
    {
        let mail = indexed();
        mail.edit("maildex.offsets", |bytes| bytes[ENTRY_AT + 8 * slot..][..8].copy_from_slice(&at.to_le_bytes()));
        let expected = format!("maildex.index.1: offset {at}: {what} of the entry of UID {}: found", slot + 1);
        mail.run(["check"]).fails_with(1).stdout_has(&expected);
    }
}

#[test]
fn damage_in_an_entry_is_found() {
    let file = "maildex.index.1";
    for at in [16, 24, 40, 70, 100] {
        finds(file, FIRST_ENTRY, &["crc of the entry of UID 1"], |bytes| flip(bytes, FIRST_ENTRY + at));
    }
    finds(file, FIRST_ENTRY, &["marker of the entry of UID 1"], |bytes| flip(bytes, FIRST_ENTRY));
    finds(file, FIRST_ENTRY, &["length of the entry of UID 1"], |bytes| bytes[FIRST_ENTRY + 9] = 0xff);
    finds(file, FIRST_ENTRY, &["marker of the entry of UID 1", "the end of the file, at 4096"], |bytes| {
        bytes.truncate(4096);
    });
}

#[test]
fn a_file_of_another_index_is_found() {
    let (mail, other) = (indexed(), indexed());
    fs::copy(other.file("maildex.index.1"), mail.file("maildex.index.1")).expect("copy");
    mail.run(["check"]).fails_with(1).stdout_has("index id: found another one, expected the one in maildex.offsets");
    mail.remove("maildex.index.1");
    mail.run(["check"]).fails_with(1).stdout_has("maildex.index.1: offset 0: index: found no file");
}

#[test]
fn headers_that_disagree_are_told_field_by_field() {
    let mail = indexed();
    mail.edit("maildex.index.1", |bytes| {
        let record = bytes.first_chunk().expect("a record");
        let own = Identity::decode(Kind::Index, record).expect("a good one");
        let other = Identity { uid_validity: own.uid_validity + 1, uid_floor: 7, ..own };
        bytes[..72].copy_from_slice(&other.encode(Kind::Index));
    });
    let text = mail.run(["check"]).fails_with(1).text();
    let lines: Vec<_> = text.lines().collect();
    let file = mail.file("maildex.index.1");
    assert_eq!(
        lines,
        [(64, "uid_validity"), (68, "uid_floor")].map(|(at, field)| format!(
            "{}: offset {at}: {field}: found another one, expected the one in maildex.offsets",
            file.display()
        ))
    );
}

#[test]
fn one_file_is_checked_without_the_other() {
    for (lost, told) in [
        ("maildex.offsets", "maildex.offsets: offset 0: offsets file: found no file"),
        ("maildex.index.1", "maildex.index.1: offset 0: index: found no file"),
    ] {
        let mail = indexed();
        mail.edit("maildex.offsets", |bytes| flip(bytes, STATUS));
        mail.edit("maildex.index.1", |bytes| flip(bytes, FIRST_ENTRY + 30));
        mail.remove(lost);
        let run = mail.run(["check"]).fails_with(1).stdout_has(told);
        let other = if lost == "maildex.offsets" { "hold no entry" } else { "status of slot 0: found" };
        assert!(format!("{}{}", run.text(), run.errors()).contains(other), "{run}");
    }
    // A header that does not prove itself keeps nothing behind it from being looked at.
    for name in ["maildex.offsets", "maildex.index.1"] {
        let mail = indexed();
        mail.edit(name, |bytes| flip(bytes, 20));
        mail.edit("maildex.index.1", |bytes| flip(bytes, FIRST_ENTRY + 30));
        let run = mail.run(["check"]).fails_with(1).stdout_has("offset 12: header crc: found");
        run.stdout_has("crc of the entry of UID 1");
    }
}

#[test]
fn words_that_do_not_fit_each_other_are_found() {
    let finds = |at: usize, word: u64, expected: &str| {
        let mail = indexed();
        put(&mail, at, word);
        mail.run(["check"]).fails_with(1).stdout_has(expected);
    };
    finds(COUNT, Number::encode(2), "offset 128: count: found 2, expected more than 2, for that slot holds UID 3");
    finds(OLDEST, Number::encode(Number::MAX / 2 - 1), "oldest change: found 9007199254740990, expected at most");
    finds(CHANGED, Number::encode(Number::MAX / 2 - 1), "change number of slot 0: found");
    finds(COUNTER, Number::encode(1), "change number of the entry of UID 1: found");
    finds(ACCOUNTED, Number::encode(1 << 40), "accounted bytes: found 1099511627776, expected at most");
    let mail = indexed();
    mail.edit("maildex.offsets", |bytes| flip(bytes, ACCOUNTED));
    mail.run(["check"]).fails_with(1).stdout_has("offset 184: accounted bytes: found a wrong checksum");
}

#[test]
fn a_word_against_the_name_is_damage_only_if_the_index_is_not_behind() {
    let seen = Status::of_name(Sub::Cur, &Name::parse(b"x:2,S")).encode();
    let gone = Status::of_name(Sub::Cur, &Name::parse(b"x:2,")).with(Status::EXPUNGED).encode();
    for (at, word, found) in [
        (STATUS, seen, "offset 4096: status of slot 0: found S, expected none, as the name has it: 1.host:2,"),
        (STATUS + 8, gone, "2.host:2,: offset 0: mail: found no message with this base name"),
        (INODE + 16, 1, "offset 20496: inode of slot 2: found 1, expected"),
    ] {
        let mail = indexed();
        put(&mail, at, word);
        mail.run(["check"]).ok();
        mail.trust_stamps();
        mail.run(["check"]).fails_with(1).stdout_has(found);
        // Whoever changes the folder now leaves the index behind it, and nobody can tell any more.
        mail.deliver("cur/4.host:2,", self::mail("mail 4"));
        mail.run(["check"]).ok();
        mail.run(["build", "--full"]).ok();
        mail.assert_sound();
    }
    let mail = indexed();
    mail.trust_stamps();
    mail.assert_sound();
}

#[test]
fn entries_that_no_slot_leads_to_are_noted() {
    let mail = indexed();
    let before = mail.own_files();
    mail.deliver("cur/4.host:2,", self::mail("mail 4"));
    mail.run(["build"]).ok();
    // An older state of the offsets file, put back.
    fs::write(mail.file("maildex.offsets"), &before["maildex.offsets"]).expect("put it back");
    mail.run(["check"]).ok().stderr_has("1 entries that the offsets file does not know");
    // The same where it claims to know them: then the UID would be given out again.
    let len = fs::metadata(mail.file("maildex.index.1")).expect("stat").len();
    put(&mail, ACCOUNTED, Number::encode(len));
    mail.run(["check"]).fails_with(1).stdout_has("found 4, expected at most 3, the last UID of any slot");
    // A sync program renames a mail: the slot goes to its second entry.
    let mail = indexed();
    let first = mail.own_files()["maildex.offsets"][ENTRY_AT..ENTRY_AT + 8].to_vec();
    mail.rename("cur/1.host:2,", "cur/1.host,U=1:2,");
    mail.run(["build"]).ok();
    mail.run(["check", "-v"]).ok();
    mail.edit("maildex.offsets", |bytes| bytes[ENTRY_AT..ENTRY_AT + 8].copy_from_slice(&first));
    mail.run(["check"]).fails_with(1).stderr_has("an entry of UID 1 behind the one that its slot leads to, at 4096");
}

#[test]
fn one_damage_does_not_hide_the_others() {
    let mail = indexed();
    mail.edit("maildex.offsets", |bytes| {
        for at in [STATUS, CHANGED + 8, HASH + 16, OLDEST] {
            flip(bytes, at);
        }
    });
    mail.edit("maildex.index.1", |bytes| flip(bytes, FIRST_ENTRY + 30));
    let run = mail.run(["check"]).fails_with(1);
    assert_eq!(run.text().lines().count(), 5, "{}", run.text());
    run.stderr_has(&format!("hint: maildex repair {} mends", mail.path().display()));
}

#[test]
fn a_damaged_message_does_not_hide_the_others() {
    for at in [STATUS + 16, UID + 8, STATUS] {
        let mail = indexed();
        mail.edit("maildex.offsets", |bytes| flip(bytes, at));
        let run = mail.run(["list", "--uids", "--no-refresh"]).fails_with(4).stderr_has("hint: see everything");
        assert_eq!(run.text().lines().count(), 2, "{}", run.text());
    }
    let mail = indexed();
    mail.edit("maildex.index.1", |bytes| flip(bytes, FIRST_ENTRY + 30));
    let run = mail.run(["list", "--no-refresh"]).fails_with(4).stderr_has("maildex.index.1: offset 4096: crc");
    assert_eq!(run.text().lines().count(), 2);
    mail.run(["show", "--no-refresh", "1:3"]).fails_with(4).stderr_has("offset 4096: crc");
    let sorted = mail.run(["list", "--no-refresh", "--uids", "--sort", "date"]).fails_with(4);
    assert_eq!(sorted.text(), "2\n3\n");
    sorted.stderr_has("offset 4096: crc");
}

#[test]
fn what_a_killed_writer_left_is_worth_a_note_and_no_damage() {
    let mail = indexed();
    fs::copy(mail.file("maildex.index.1"), mail.file("maildex.index.2")).expect("copy");
    mail.run(["check"]).ok().stderr_has("maildex.index.2: not named by maildex.offsets; the next build removes it");
    mail.run(["check", "--quiet"]).ok().silent();
    mail.deliver("new/4.host", self::mail("mail 4"));
    mail.run(["build"]).ok();
    assert!(!mail.file("maildex.index.2").exists());
    mail.edit("maildex.index.1", |bytes| bytes.extend([7; 100]));
    mail.run(["check"]).ok().stderr_has("100 bytes hold no entry");
    mail.deliver("new/5.host", self::mail("mail 5"));
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n4\n5\n");
    mail.run(["check"]).ok().stdout_has("5 messages");
}

#[test]
fn no_bytes_whatever_make_a_crash() {
    let mail = indexed();
    let sound = mail.own_files();
    let mut state = 42u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..40 {
        for (name, bytes) in &sound {
            let mut bytes = bytes.clone();
            let from = random(bytes.len());
            let to = bytes.len().min(from + 1 + random(300));
            match round % 4 {
                0 => bytes.truncate(from),
                1 => bytes[from..to].fill(0xff),
                2 => bytes[from..to].iter_mut().for_each(|byte| *byte = random(256) as u8),
                _ => bytes.extend_from_within(from..to),
            }
            fs::write(mail.file(name), bytes).expect("write our file");
        }
        for arguments in
            [&["check"][..], &["list", "--no-refresh", "--sort", "subject"], &["cat", "--no-refresh", "1:*"]]
        {
            let run = mail.run(arguments);
            assert!(matches!(run.code(), Some(0 | 1 | 3 | 4 | 75)), "round {round}\n{run}");
        }
    }
}
