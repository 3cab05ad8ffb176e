//! Flipped bits in our files: nothing wrong is shown, nothing crashes, and `check` notices every flip that matters.
//!
//! A flip matters if any verb would answer or write something else because of it. Of the header page that is every bit of
//! the record and of the words behind it, of a block every bit of the published slots, and every bit of an entry. What
//! nothing uses must change no answer.
//!
//! In the headers each bit is flipped alone. In slots and entries the same bit is flipped in many at once, of which each
//! must be noticed by itself. `MAILDEX_LONG=1` tries all; else a part, always the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::process::Command;

use maildex::folder::Folder;
use maildex::format::block::SLOTS;
use maildex::format::entry::Entry;
use maildex::index::Column;
use maildex::lock::Wait;
use maildex::ops::build::{Options, build};
use maildex::ops::check::{Finding, Severity, check};
use maildex::{Error, Result, sample};

use crate::mailbox::{Mailbox, figures, long, maildex};
use crate::tally::Tally;

const OFFSETS: &str = "maildex.offsets";
const INDEX: &str = "maildex.index.1";

/// Messages in the folder.
const MAILS: usize = 200;

/// Of all flips one in so many is tried in the short form.
const PART: usize = 32;

/// Bytes of the offsets file's header page that something uses; and of the index file's.
const USED: [Range<usize>; 4] = [0..72, 128..248, 256..312, 320..336];
const USED_OF_INDEX: Range<usize> = 0..72;

/// The same numbers at each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }

    /// Whether this one is tried.
    fn takes(&mut self) -> bool {
        self.takes_one_in(PART)
    }

    fn takes_one_in(&mut self, part: usize) -> bool {
        long() || self.below(part) == 0
    }
}

/// A message as a reader gets it, or nothing if its slot or entry is told to be damaged.
type Shown = Option<(u32, u64, u64, String)>;

/// Everything that reading verbs answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    counter: u64,
    oldest: u64,
    messages: Vec<Shown>,
}

fn shown(entry: &Entry<'_>) -> String {
    format!("{entry:?}")
}

/// Reads everything there is to read; an error is one that every verb would end with.
fn read(mail: &Mailbox) -> Result<Answer> {
    let mut folder = Folder::open(&mail.path())?;
    let index = folder.complete_index()?;
    let oldest = index.oldest()?;
    let snapshot = index.snapshot()?;
    let mut entries = snapshot.index().entries()?;
    let mut messages = Vec::new();
    for slot in snapshot.slots() {
        let mut message = || {
            let (uid, status, changed) = (slot.uid()?, slot.status()?, slot.changed()?);
            Ok::<_, Error>((uid.get(), status.bits(), changed, shown(&entries.read(&slot)?)))
        };
        messages.push(message().ok());
    }
    Ok(Answer { counter: snapshot.counter(), oldest, messages })
}

fn findings(mail: &Mailbox) -> Vec<Finding> {
    let folder = Folder::open(&mail.path()).expect("open the folder");
    let mut found = Vec::new();
    let done = check(&folder, false, &mut |finding| {
        if finding.severity != Severity::Detail {
            found.push(finding.clone());
        }
    });
    if let Err(error) = done {
        // Another version of the format: told as an error.
        let path = error.path().expect("a file").to_path_buf();
        let (severity, kind) = (Severity::Damage, "error");
        let (what, found_, expected) = (error.to_string(), String::new(), String::new());
        found.push(Finding { severity, kind, path, at: Some(0), what, found: found_, expected, hint: None });
    }
    found
}

/// The folder, and what is true of it.
struct Sound {
    mail: Mailbox,
    files: BTreeMap<&'static str, File>,
    bytes: BTreeMap<String, Vec<u8>>,
    answer: Answer,
    findings: Vec<Finding>,
    /// Offset and length of each entry.
    entries: Vec<(usize, usize)>,
    tried: usize,
}

impl Sound {
    fn new() -> Sound {
        Sound::of(MAILS)
    }

    fn of(mails: usize) -> Sound {
        let mail = Mailbox::in_memory();
        sample::write(&mail.path(), 0..mails as u32).expect("write the mail");
        mail.run(["build"]).ok();
        mail.trust_stamps();
        let open = |name| File::options().write(true).open(mail.file(name)).expect("open our file");
        let (files, bytes) = ([OFFSETS, INDEX].map(|name| (name, open(name))).into(), mail.own_files());
        let (answer, findings) = (read(&mail).expect("a sound index"), findings(&mail));
        assert!(findings.iter().all(|finding| finding.severity != Severity::Damage), "{findings:?}");
        let index = &bytes[INDEX];
        let (mut entries, mut at) = (Vec::new(), 4096);
        while at < index.len() {
            let len = usize::from(u16::from_le_bytes([index[at + 8], index[at + 9]]));
            entries.push((at, len));
            at += len;
        }
        assert_eq!((entries.len(), answer.messages.len()), (mails, mails));
        Sound { mail, files, bytes, answer, findings, entries, tried: 0 }
    }

    /// With these bits flipped: what is read, and what `check` finds beyond what it finds otherwise. Whatever is shown must
    /// be true.
    fn with(&mut self, name: &str, flips: &[(usize, u8)]) -> (Result<Answer>, Vec<Finding>) {
        self.tried += flips.len();
        let bytes = &self.bytes[name];
        for &(at, bit) in flips {
            self.files[name].write_all_at(&[bytes[at] ^ 1 << bit], at as u64).expect("flip a bit");
        }
        let (answer, mut found) = (read(&self.mail), findings(&self.mail));
        found.retain(|finding| !self.findings.contains(finding));
        for &(at, _) in flips {
            self.files[name].write_all_at(&[bytes[at]], at as u64).expect("flip it back");
        }
        if let Ok(answer) = &answer {
            for (is, should) in answer.messages.iter().zip(&self.answer.messages) {
                assert!(is.is_none() || is == should, "shown wrongly, {name} {flips:?}: {is:?}, {should:?}");
            }
            let len = answer.messages.len();
            assert!(len <= MAILS, "{len} messages shown, {name} {flips:?}");
        }
        (answer, found)
    }

    /// After this flip a build puts everything right, with the same UIDs.
    fn is_mended(&self, name: &str, flips: &[(usize, u8)]) {
        let sound: Vec<_> = self.bytes.iter().collect();
        self.mail.put_back(&sound);
        for &(at, bit) in flips {
            self.mail.edit(name, |bytes| bytes[at] ^= 1 << bit);
        }
        let folder = Folder::open(&self.mail.path()).expect("open the folder");
        let options = Options { heal: true, full: true, ..Options::default() };
        let go_on = &mut |_| std::ops::ControlFlow::Continue(());
        match build(&folder, options, Wait::Forever, &mut |_| (), go_on) {
            Ok(_) => {
                let uid_and_text = |answer: &Answer| {
                    let of = |shown: &Shown| {
                        shown.as_ref().map(|(uid, status, _, text)| (*uid, *status, without_added(text)))
                    };
                    answer.messages.iter().map(of).collect::<Vec<_>>()
                };
                let answer = read(&self.mail).expect("an index");
                let (is, should) = (uid_and_text(&answer), uid_and_text(&self.answer));
                assert_eq!(is.len(), should.len(), "{name} {flips:?}");
                for (is, should) in is.iter().zip(&should) {
                    assert_eq!(is, should, "{name} {flips:?}");
                }
                let found = findings(&self.mail);
                assert!(found.iter().all(|found| found.severity != Severity::Damage), "{name} {flips:?}: {found:?}");
            }
            Err(error) => panic!("{name} {flips:?}: {error}"),
        }
    }
}

/// The change that brought a mail is a new one where its entry had to be made again.
fn without_added(entry: &str) -> String {
    let (before, rest) = entry.split_once("added: ").expect("a field");
    format!("{before}{}", rest.split_once(',').expect("more fields").1)
}

fn bits(bytes: Range<usize>) -> impl Iterator<Item = (usize, u8)> {
    bytes.flat_map(|at| (0..8).map(move |bit| (at, bit)))
}

#[test]
fn every_flipped_bit_of_a_header_is_noticed() {
    let (mut sound, mut random) = (Sound::new(), Random(1));
    let used = USED.into_iter().map(|range| (OFFSETS, range)).chain([(INDEX, USED_OF_INDEX)]);
    let mut unnoticed = Vec::new();
    for (name, flip) in used.flat_map(|(name, range)| bits(range).map(move |flip| (name, flip))) {
        if random.takes() {
            let (_, found) = sound.with(name, &[flip]);
            if found.is_empty() {
                unnoticed.push((name, flip));
            }
        }
    }
    assert!(unnoticed.is_empty(), "not noticed: {unnoticed:?}");
    let noticed = sound.tried;
    // The rest of both pages, which nothing uses.
    let is_used = |name: &str, at: usize| match name {
        OFFSETS => USED.iter().any(|range| range.contains(&at)),
        _ => USED_OF_INDEX.contains(&at),
    };
    for name in [OFFSETS, INDEX] {
        let unused: Vec<_> = bits(0..4096).filter(|(at, _)| !is_used(name, *at)).collect();
        for flips in unused.chunks(512) {
            if random.takes() {
                let (answer, _) = sound.with(name, flips);
                assert_eq!(answer.expect("an index"), sound.answer, "{name} {:?}", flips[0]);
            }
        }
    }
    Tally::BitFlips.add(sound.tried);
    figures(&format!("flipped bits of headers: {noticed} that matter, all noticed; {} in all", sound.tried));
}

/// Slots of which the same bit is flipped at once.
fn halves() -> [Vec<usize>; 2] {
    [0, 1].map(|first| (first..MAILS).step_by(2).collect())
}

#[test]
fn every_flipped_bit_of_a_block_is_noticed() {
    let (mut sound, mut random) = (Sound::new(), Random(2));
    let mut matters = 0;
    for column in Column::ALL {
        let at = |slot: usize, bit: u8| {
            (column.at(maildex::format::SlotNo(slot as u32)) as usize + usize::from(bit / 8), bit % 8)
        };
        for bit in 0..64 {
            for slots in halves() {
                if !random.takes() {
                    continue;
                }
                let flips: Vec<_> = slots.iter().map(|&slot| at(slot, bit)).collect();
                let (_, found) = sound.with(OFFSETS, &flips);
                let told: BTreeSet<_> = found.iter().flat_map(|found| words(&found.what)).collect();
                for slot in slots {
                    let uid = sound.answer.messages[slot].as_ref().expect("a message").0;
                    let is_told = told.contains(&format!("slot {slot}")) || told.contains(&format!("UID {uid}"));
                    assert!(is_told, "{column:?} of slot {slot}, bit {bit}: {found:#?}");
                    matters += 1;
                }
            }
            if random.takes() {
                let flips: Vec<_> = (MAILS..SLOTS).map(|slot| at(slot, bit)).collect();
                let (answer, _) = sound.with(OFFSETS, &flips);
                assert_eq!(answer.expect("an index"), sound.answer, "{column:?} of unpublished slots, bit {bit}");
            }
        }
    }
    Tally::BitFlips.add(sound.tried);
    figures(&format!("flipped bits of a block: {matters} that matter, all noticed; {} in all", sound.tried));
}

/// `slot 3` and `UID 7` in what was found.
fn words(what: &str) -> Vec<String> {
    let all: Vec<&str> = what.split(' ').collect();
    let pairs = all.windows(2).filter(|pair| ["slot", "UID"].contains(&pair[0]));
    pairs.map(|pair| format!("{} {}", pair[0], pair[1].trim_matches(','))).collect()
}

#[test]
fn every_flipped_bit_of_an_entry_is_noticed() {
    let (mut sound, mut random) = (Sound::new(), Random(3));
    let longest = sound.entries.iter().map(|(_, len)| *len).max().expect("entries");
    for flip in bits(0..longest) {
        // Few entries are longer, and each of their bits takes as much time as one of all.
        let part = if flip.0 < 512 { PART } else { PART * 8 };
        for half in halves() {
            if !random.takes_one_in(part) {
                continue;
            }
            let there: Vec<_> = half.iter().map(|&n| sound.entries[n]).filter(|(_, len)| flip.0 < *len).collect();
            let flips: Vec<_> = there.iter().map(|(at, _)| (at + flip.0, flip.1)).collect();
            let (answer, found) = sound.with(INDEX, &flips);
            let missing = answer.expect("an index").messages.iter().filter(|message| message.is_none()).count();
            assert_eq!(missing, there.len(), "bit {flip:?}");
            let told: BTreeSet<_> = found.iter().filter(|f| f.severity == Severity::Damage).map(|f| f.at).collect();
            for (at, _) in there {
                assert!(told.contains(&Some(at as u64)), "bit {flip:?} of the entry at {at}: {found:#?}");
            }
        }
    }
    Tally::BitFlips.add(sound.tried);
    figures(&format!("flipped bits of {MAILS} entries: {}, all noticed", sound.tried));
}

#[test]
fn flipped_bits_are_mended_with_the_same_uids() {
    let (sound, mut random) = (Sound::new(), Random(4));
    let tries = if long() { 2000 } else { 60 };
    for _ in 0..tries {
        let (name, at) = match random.below(4) {
            0 => (OFFSETS, random.below(336)),
            1 => (INDEX, random.below(72)),
            2 => {
                (OFFSETS, Column::ALL[random.below(6)].at(maildex::format::SlotNo(random.below(MAILS) as u32)) as usize)
            }
            _ => (INDEX, 4096 + random.below(sound.bytes[INDEX].len() - 4096)),
        };
        sound.is_mended(name, &[(at, random.below(8) as u8)]);
    }
    Tally::BitFlips.add(tries);
    figures(&format!("{tries} flipped bits mended by a full build, with the same UIDs"));
}

#[test]
fn the_program_shows_nothing_wrong_for_a_flipped_bit() {
    let (sound, mut random) = (Sound::of(30), Random(5));
    let list = |mail: &Mailbox| {
        // A hang, or memory without bounds, ends it.
        let mut list = Command::new("sh");
        list.args(["-c", "ulimit -v 262144 && exec timeout 60 \"$0\" \"$@\""]).arg(maildex());
        mail.finish(list.args(["list", "--json", "--no-refresh"]).arg(mail.path()))
    };
    let truth: BTreeMap<u64, serde_json::Value> = list(&sound.mail)
        .ok()
        .json()
        .into_iter()
        .map(|record| (record["uid"].as_u64().expect("a UID"), record))
        .collect();
    let (mut refused, mut told) = (0, 0);
    for number in 0..200 {
        let name = [OFFSETS, INDEX][random.below(2)];
        let used: Vec<usize> = (0..sound.bytes[name].len()).filter(|&at| sound.bytes[name][at] != 0).collect();
        let (at, bit) = (used[random.below(used.len())], random.below(8) as u8);
        sound.files[name].write_all_at(&[sound.bytes[name][at] ^ 1 << bit], at as u64).expect("flip a bit");
        let run = list(&sound.mail);
        assert!(matches!(run.code(), Some(0 | 3 | 4 | 75)), "bit {bit} of byte {at} of {name}: {run}");
        let records = run.json();
        for record in &records {
            let uid = record["uid"].as_u64().expect("a UID");
            assert_eq!(Some(record), truth.get(&uid), "bit {bit} of byte {at} of {name}");
        }
        let is_told = findings(&sound.mail).iter().any(|finding| !sound.findings.contains(finding));
        let is_whole = run.code() == Some(0) && records.len() == truth.len();
        assert!(is_whole || is_told, "bit {bit} of byte {at} of {name}: {run}");
        if number % 10 == 0 {
            let check = sound.mail.run(["check"]);
            assert!(matches!(check.code(), Some(0 | 1 | 3)), "bit {bit} of byte {at} of {name}: {check}");
        }
        refused += usize::from(run.code() != Some(0));
        told += usize::from(is_told);
        sound.files[name].write_all_at(&[sound.bytes[name][at]], at as u64).expect("flip it back");
    }
    Tally::BitFlips.add(200);
    figures(&format!(
        "200 flipped bits for the program: {refused} refused in part or whole, {told} told by check, nothing wrong shown"
    ));
}
