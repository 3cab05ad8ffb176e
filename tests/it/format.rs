//! Files of format version 1 that every later version must open, and what comes of damaged ones.
//!
//! `fixtures/v1` was written once, through the library, with fixed ids. The mail that belongs to it is made here, in
//! code. If the format changes on purpose, before it is released, write the files anew:
//!
//! ```text
//! MAILDEX_FIXTURES=write cargo test --test it format::the_fixtures_are_what_is_written_today
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base64::Engine;
use maildex::Error;
use maildex::folder::Folder;
use maildex::format::Uid;
use maildex::format::entry::Entry;
use maildex::format::header::Identity;
use maildex::format::status::Status;
use maildex::format::word::LastChange;
use maildex::format::word::Number;
use maildex::index::generation::{NewGeneration, Start};
use maildex::index::publish::SlotData;
use maildex::lock::Wait;
use maildex::maildir::Sub;
use maildex::maildir::listing::Stamp;
use maildex::maildir::name::{Name, base_of};
use maildex::maildir::summary::{Fields, Summary};
use maildex::ops;

use crate::mailbox::{Mailbox, figures};
use crate::tally::Tally;

const FILES: [&str; 2] = ["maildex.offsets", "maildex.index.1"];

/// Offset and length of the boot id in the header page, which is another one each time.
const BOOT: std::ops::Range<usize> = 160..184;

/// The same of the birth of each file.
const BORN: [std::ops::Range<usize>; 2] = [320..336, 72..88];

/// Offsets of other words of the header page.
const COUNT_AT: usize = 128;
const MARKS_AT: usize = 152;

/// "The first build has finished", and nobody is writing.
const COMPLETE: u64 = 2;

/// The change that brought all of them, and the last one.
const ADDED: u64 = 1_700_000_000_000_001;
const LAST_CHANGE: u64 = 1_700_000_000_000_009;

/// A message of the fixtures.
struct Message {
    uid: u32,
    sub: Sub,
    name: &'static [u8],
    /// Beside what the name says.
    state: Status,
    /// `None`: it has no file.
    text: Option<String>,
    received_ns: i64,
    changed: u64,
    summary: Summary,
}

impl Message {
    fn status(&self) -> Status {
        Status::of_name(self.sub, &Name::parse(self.name)).with(self.state)
    }

    fn path(&self) -> OsString {
        OsString::from_vec([self.sub.as_str().as_bytes(), b"/", self.name].concat())
    }

    fn is_live(&self) -> bool {
        !self.status().has(Status::EXPUNGED)
    }

    fn entry(&self) -> Entry<'_> {
        if self.name.is_empty() {
            return Entry::placeholder();
        }
        let unreadable = self.status().has(Status::UNREADABLE);
        let size = if unreadable { 0 } else { self.text.as_ref().map_or(17, |text| text.len() as u64) };
        Entry { unreadable, ..Entry::new(base_of(self.name), self.received_ns, size, &self.summary) }
    }
}

/// What stands in the fixtures, in UID order, with gaps.
fn messages() -> Vec<Message> {
    let none = Status::of_name(Sub::Cur, &Name::parse(b":2,"));
    let plain = |uid, sub, name, text: &str| Message {
        uid,
        sub,
        name,
        state: none,
        text: Some(text.to_string()),
        received_ns: 1_600_000_000_123_456_789 + i64::from(uid) * 1_000_000_000,
        changed: ADDED,
        summary: Summary { header_crc: Summary::read(text.as_bytes()).header_crc, ..Summary::default() },
    };
    let with = |message: Message, summary: Summary| Message {
        summary: Summary { header_crc: message.summary.header_crc, ..summary },
        ..message
    };
    let cut = |letter: &str, len: usize| letter.repeat(len);
    let all = Fields(0x7f);
    vec![
        with(
            Message { changed: LAST_CHANGE, ..plain(2, Sub::Cur, b"1000.plain.host:2,FS", "Subject: a\n\nb\n") },
            Summary {
                date: Some(880_127_706),
                subject: "Grüße, 世界 \u{1f4e7}".into(),
                from: "Ann \"x\" <ann@example.org>".into(),
                to: "bob@example.org".into(),
                cc: "carol@example.org, dave@example.org".into(),
                message_id: "<plain@example.org>".into(),
                in_reply_to: "<parent@example.org>".into(),
                references: "<root@example.org> <parent@example.org>".into(),
                ..Summary::default()
            },
        ),
        with(
            plain(3, Sub::New, b"1001.new.host", "Subject: new\n\n"),
            Summary { subject: "new".into(), ..Summary::default() },
        ),
        with(
            plain(7, Sub::Cur, b"1002.cut.host,S=9:2,RSab", "Subject: cut\n\n"),
            Summary {
                date: Some(0),
                subject: cut("s", 4096),
                from: cut("f", 200),
                to: cut("t", 200),
                cc: cut("c", 200),
                message_id: cut("m", 200),
                in_reply_to: cut("i", 200),
                references: cut("r", 200),
                cut: all,
                ..Summary::default()
            },
        ),
        with(
            plain(8, Sub::Cur, b"1003.\xff\xfe.host:2,T", "Subject: bytes\n\n"),
            Summary { date: Some(-86_400), subject: "a name that is no UTF-8".into(), ..Summary::default() },
        ),
        Message { state: Status::EMPTY, ..plain(9, Sub::Cur, b"1004.empty.host:2,", "") },
        Message {
            state: Status::UNREADABLE,
            received_ns: 0,
            summary: Summary::default(),
            ..plain(10, Sub::Cur, b"1005.unreadable.host:2,", "Subject: readable by now\n\n")
        },
        Message {
            state: Status::EXPUNGED,
            text: None,
            changed: LAST_CHANGE - 1,
            ..with(
                plain(11, Sub::Cur, b"1006.gone.host:2,", ""),
                Summary { subject: "gone".into(), ..Summary::default() },
            )
        },
        with(
            plain(12, Sub::Cur, b"1007.odd.host:2,SF", "Subject: odd\n\n"),
            Summary { subject: "not the canonical name".into(), ..Summary::default() },
        ),
        Message { state: Status::EXPUNGED, text: None, received_ns: 0, ..plain(20, Sub::Cur, b"", "") },
        with(
            plain(4_000_000_000, Sub::New, b"1008.high.host:2,P", "Subject: high\n\n"),
            Summary { subject: "a large UID".into(), ..Summary::default() },
        ),
    ]
}

fn identity() -> Identity {
    Identity {
        id: *b"maildex fixture!",
        generation: 1,
        marker: [0x6d, 0, 0xff, b'm', b'd', b'e', b'x', 1],
        hash_key: *b"0123456789abcdef",
        uid_validity: 1_234_567_890,
        uid_floor: 1,
    }
}

fn start() -> Start {
    let stamp =
        |n| Stamp { dev: n, ino: 2, btime_ns: -3, mtime_ns: 1_600_000_000_000_000_004, ctime_ns: 5, settled: true };
    Start { counter: LAST_CHANGE, oldest: ADDED - 1, complete: true, stamps: [Some(stamp(1)), Some(stamp(8))] }
}

/// A Maildir with the mail of the fixtures, and no index.
fn mail_only() -> Mailbox {
    let mailbox = Mailbox::in_memory();
    for message in messages() {
        let Some(text) = &message.text else { continue };
        mailbox.deliver(message.path(), text);
        let file = fs::File::options().write(true).open(mailbox.file(message.path())).expect("open the mail");
        let received = SystemTime::UNIX_EPOCH + Duration::from_nanos(message.received_ns as u64);
        file.set_modified(received).expect("set the mtime");
    }
    mailbox
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/v1").join(name)
}

fn fixtures() -> [Vec<u8>; 2] {
    FILES.map(|name| fs::read(fixture(name)).expect("read the fixture"))
}

fn put(mailbox: &Mailbox, files: &[Vec<u8>; 2]) {
    for name in crate::oracle::own_files(mailbox) {
        mailbox.remove(name);
    }
    for (name, bytes) in FILES.iter().zip(files) {
        fs::write(mailbox.file(name), bytes).expect("write the file");
    }
}

/// A Maildir with the mail and the files of version 1.
fn old_folder() -> Mailbox {
    let mailbox = mail_only();
    put(&mailbox, &fixtures());
    mailbox
}

/// Both files as they are written today.
fn written_today() -> [Vec<u8>; 2] {
    let mailbox = Mailbox::new();
    let folder = Folder::open(&mailbox.path()).unwrap();
    let lock = folder.lock("fixtures", Wait::Forever, &mut |_| ()).unwrap();
    let mut generation =
        NewGeneration::begin(folder.dir(), &lock, folder.maildir().access(), identity()).expect("begin");
    for (inode, message) in (1000..).zip(messages()) {
        let mut bytes = Vec::new();
        message.entry().write(&mut bytes);
        let (uid, hash) = (Uid::new(message.uid).unwrap(), identity().hash(base_of(message.name)));
        let data = SlotData { uid, status: message.status(), entry_at: 0, hash, inode };
        generation.push(&mut bytes, ADDED, LastChange { number: message.changed, moved: false }, data).expect("push");
    }
    generation.commit(&start()).expect("commit");
    let [mut offsets, mut index] = FILES.map(|name| fs::read(mailbox.file(name)).expect("read the file"));
    // As after a writer that ended well, on a machine that nobody knows.
    offsets[BOOT].fill(0);
    offsets[BORN[0].clone()].fill(0);
    index[BORN[1].clone()].fill(0);
    offsets[MARKS_AT..MARKS_AT + 8].copy_from_slice(&Number::encode(COMPLETE).to_le_bytes());
    [offsets, index]
}

#[test]
fn the_fixtures_are_what_is_written_today() {
    let written = written_today();
    if std::env::var_os("MAILDEX_FIXTURES").is_some_and(|value| value == "write") {
        for (name, bytes) in FILES.iter().zip(&written) {
            fs::create_dir_all(fixture("")).expect("make the directory");
            fs::write(fixture(name), bytes).expect("write the fixture");
        }
    }
    for ((name, is), should) in FILES.iter().zip(&written).zip(fixtures()) {
        let differs = is.iter().zip(&should).position(|(a, b)| a != b);
        assert!(*is == should, "{name}: the format has changed: first at {differs:?}; see the top of this test");
    }
}

#[test]
fn version_1_is_read_field_by_field() {
    let mailbox = old_folder();
    let mut folder = Folder::open(&mailbox.path()).unwrap();
    let index = folder.complete_index().unwrap();
    assert_eq!(*index.identity(), identity());
    let header = index.header();
    assert_eq!((header.counter(), header.oldest()), (Some(LAST_CHANGE), Some(ADDED - 1)));
    assert_eq!(Sub::ALL.map(|sub| header.stamp(sub)), start().stamps);
    assert_eq!(header.boot(), None);
    let snapshot = index.snapshot().unwrap();
    let mut entries = snapshot.index().entries().unwrap();
    assert_eq!(snapshot.len() as usize, messages().len());
    for ((inode, message), slot) in (1000..).zip(messages()).zip(snapshot.slots()) {
        let uid = Uid::new(message.uid).unwrap();
        assert_eq!(slot.uid().unwrap(), uid);
        assert_eq!((slot.status().unwrap(), slot.changed().unwrap()), (message.status(), message.changed), "UID {uid}");
        assert_eq!((slot.inode(), slot.hash()), (inode, identity().hash(base_of(message.name))), "UID {uid}");
        assert_eq!(entries.read(&slot).unwrap(), Entry { uid, added: ADDED, ..message.entry() });
    }
}

#[test]
fn version_1_is_listed_field_by_field() {
    let mailbox = old_folder();
    let run = mailbox.run(["list", "--json", "--no-refresh"]).ok().silent();
    let live: Vec<_> = messages().into_iter().filter(Message::is_live).collect();
    let records = run.json();
    assert_eq!(records.len(), live.len(), "{run}");
    for (message, record) in live.iter().zip(&records) {
        let (entry, flags) = (message.entry(), message.status().flags());
        let base64 = |bytes: &[u8]| base64::prelude::BASE64_STANDARD.encode(bytes);
        let odd = std::str::from_utf8(entry.base).is_err();
        let path = mailbox.file(message.path()).into_os_string().into_vec();
        let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(String::from).collect::<Vec<_>>();
        let mut expected = serde_json::json!({
            "v": 1,
            "folder": mailbox.path(),
            "uidvalidity": 1_234_567_890,
            "uid": message.uid,
            "path": String::from_utf8_lossy(&path),
            "base": String::from_utf8_lossy(entry.base),
            "dir": message.sub.as_str(),
            "flags": flags.to_string(),
            "keywords": if message.uid == 7 { vec!["a", "b"] } else { vec![] },
            "size": entry.size,
            "date": record["date"],
            "received": record["received"],
            "date_epoch": entry.date,
            "received_epoch": if entry.unreadable { None } else { Some(message.received_ns / 1_000_000_000) },
            "subject": entry.subject,
            "from": entry.from,
            "to": entry.to,
            "cc": entry.cc,
            "message_id": entry.message_id,
            "in_reply_to": entry.in_reply_to,
            "references": words(entry.references),
            "change": message.changed,
            "truncated": if message.uid == 7 { Fields::NAMES.to_vec() } else { vec![] },
        });
        if odd {
            expected["path_bytes"] = base64(&path).into();
            expected["base_bytes"] = base64(entry.base).into();
        }
        assert_eq!(*record, expected);
    }
    let text = |n: usize, key: &str| records[n][key].as_str().map(String::from);
    assert_eq!(text(0, "date").as_deref(), Some("1997-11-21T15:55:06Z"));
    assert_eq!(text(0, "received").as_deref(), Some("2020-09-13T12:26:42Z"));
    assert_eq!(text(1, "date"), None);
    assert_eq!(text(3, "date").as_deref(), Some("1969-12-31T00:00:00Z"));
    assert_eq!(text(5, "received"), None, "a mail that was never read");
    mailbox.assert_sound();
}

#[test]
fn version_1_is_brought_up_to_date() {
    let mailbox = old_folder();
    mailbox.deliver("new/2000.last", "Subject: last\n\n");
    mailbox.run(["build"]).ok();
    let records = mailbox.run(["list", "--json"]).ok().json();
    let uids: Vec<_> = records.iter().map(|record| record["uid"].as_u64().expect("a UID")).collect();
    // What could not be read and is now another file may be another mail.
    let kept: Vec<u64> = messages().iter().filter(|m| m.is_live() && m.uid != 10).map(|m| m.uid.into()).collect();
    assert_eq!(uids, [kept, vec![4_000_000_001, 4_000_000_002]].concat());
    assert!(records.iter().all(|record| record["uidvalidity"] == 1_234_567_890));
    mailbox.assert_sound();
}

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // splitmix64, Sebastiano Vigna
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }

    /// Spoils one of the files a little, or a lot. Most bytes of the offsets file are free; so mostly not those.
    fn spoil(&mut self, files: &mut [Vec<u8>; 2]) {
        let which = self.below(2);
        let file = &mut files[which];
        let used: Vec<usize> = (0..file.len()).filter(|&at| file[at] != 0).collect();
        let at = if self.below(4) == 0 { self.below(file.len()) } else { used[self.below(used.len())] };
        match self.below(6) {
            0 | 1 => file[at] ^= 1 << self.below(8),
            2 => (0..8).for_each(|_| {
                let at = self.below(file.len());
                file[at] = self.below(256) as u8;
            }),
            3 => {
                let end = file.len().min(at + 1 + self.below(300));
                file[at..end].iter_mut().for_each(|byte| *byte = self.below(256) as u8);
            }
            4 => {
                let (to, len) = (self.below(file.len()), 1 + self.below(200));
                let len = len.min(file.len() - at.max(to));
                file.copy_within(at..at + len, to);
            }
            _ => file.truncate(at),
        }
    }
}

/// Base name and subject of each UID.
fn truth() -> BTreeMap<u32, (Vec<u8>, String)> {
    messages().iter().map(|m| (m.uid, (base_of(m.name).to_vec(), m.summary.subject.clone()))).collect()
}

/// Reads everything; what comes must be true. Returns whether something was found wrong.
fn read_all(mailbox: &Mailbox, truth: &BTreeMap<u32, (Vec<u8>, String)>) -> Result<bool, Error> {
    let mut folder = Folder::open(&mailbox.path())?;
    let found = ops::check::check(&folder, false, &mut |_| ())?;
    let snapshot = folder.complete_index()?.snapshot()?;
    let mut entries = snapshot.index().entries()?;
    for slot in snapshot.slots() {
        if let Ok(entry) = entries.read(&slot) {
            assert_eq!((entry.base.to_vec(), entry.subject.to_string()), truth[&entry.uid.get()]);
        }
    }
    Ok(found.damage > 0)
}

#[test]
fn damaged_files_give_errors_and_never_a_wrong_name() {
    let (mailbox, truth) = (mail_only(), truth());
    let (mut refused, mut found) = (0, 0);
    for seed in 0..2000 {
        let mut files = fixtures();
        Random(seed).spoil(&mut files);
        put(&mailbox, &files);
        match read_all(&mailbox, &truth) {
            Ok(damaged) => found += usize::from(damaged),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 100 && found > 100, "{refused} refused, {found} with damage");
    Tally::Damages.add(2000);
    figures(&format!("2000 damaged indexes: {refused} refused, {found} read in part, the rest harmless"));
}

/// What the binary lists must be true, also after a build has healed what can be healed.
#[track_caller]
fn listing_is_true(mailbox: &Mailbox, seed: u64) -> bool {
    let run = mailbox.run(["list", "--json", "--no-refresh"]);
    assert!(matches!(run.code(), Some(0 | 3 | 4 | 75)), "seed {seed}: {run}");
    let truth = truth();
    for record in run.json() {
        let uid = record["uid"].as_u64().expect("a UID") as u32;
        let base = record["base"].as_str().expect("a base name");
        match truth.get(&uid) {
            Some((true_base, _)) => assert_eq!(base, String::from_utf8_lossy(true_base), "seed {seed}: UID {uid}"),
            None => assert!(uid > 4_000_000_000, "seed {seed}: new UID {uid}: {run}"),
        }
    }
    run.code() == Some(0)
}

/// A build mends what it meets; it never looks at what the index still holds of messages that are gone.
#[track_caller]
fn assert_sound_but_for_the_dead(mailbox: &Mailbox, seed: u64) {
    let check = mailbox.run(["check"]);
    let dead = |line: &str| ["UID 11:", "UID 20:", "slot 6:", "slot 8:"].iter().any(|dead| line.contains(dead));
    let sound = check.code() == Some(0) || (check.code() == Some(1) && check.text().lines().all(dead));
    assert!(sound, "seed {seed}: {check}");
}

#[test]
fn damaged_files_are_told_and_healed_by_the_program() {
    let mailbox = mail_only();
    let (mut told, mut healed) = (0, 0);
    for seed in 10_000..10_120 {
        let mut files = fixtures();
        Random(seed).spoil(&mut files);
        put(&mailbox, &files);
        listing_is_true(&mailbox, seed);
        let check = mailbox.run(["check"]);
        assert!(matches!(check.code(), Some(0 | 1 | 3)), "seed {seed}: {check}");
        told += usize::from(check.code() != Some(0));
        let build = mailbox.run(["build"]);
        assert!(matches!(build.code(), Some(0 | 3)), "seed {seed}: {build}");
        let is_good = listing_is_true(&mailbox, seed);
        assert!(is_good || build.code() != Some(0), "seed {seed}: built, and cannot be listed: {build}");
        if is_good {
            assert_sound_but_for_the_dead(&mailbox, seed);
            healed += 1;
        }
    }
    Tally::Damages.add(120);
    figures(&format!("120 damaged indexes: {told} told by check, {healed} good after a build"));
}

#[test]
fn a_count_beyond_the_file_is_told_and_healed() {
    let mailbox = old_folder();
    let mut files = fixtures();
    files[0][COUNT_AT..COUNT_AT + 8].copy_from_slice(&Number::encode(1 << 40).to_le_bytes());
    put(&mailbox, &files);
    mailbox.run(["list", "--no-refresh"]).fails_with(3).stdout("");
    mailbox.run(["check"]).fails_with(1);
    mailbox.run(["build"]).ok();
    assert!(listing_is_true(&mailbox, 0));
    mailbox.assert_sound();
}

#[test]
fn a_torn_end_of_the_index_costs_one_message_until_a_build() {
    let mailbox = old_folder();
    let mut files = fixtures();
    let len = files[1].len();
    files[1].truncate(len - 5);
    put(&mailbox, &files);
    let run = mailbox.run(["list", "--uids", "--no-refresh"]).fails_with(4);
    let live: Vec<_> = messages().iter().filter(|m| m.is_live()).map(|m| m.uid.to_string()).collect();
    assert_eq!(run.text().split_whitespace().collect::<Vec<_>>(), live[..live.len() - 1]);
    mailbox.run(["check"]).fails_with(1);
    mailbox.run(["build"]).ok();
    assert!(listing_is_true(&mailbox, 0));
    mailbox.assert_sound();
}
