//! What was done to an index, and what was found in it.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use maildex::index::compact::Dead;
use maildex::ops::build::Report;
use maildex::ops::check::{Checked, Finding};
use maildex::ops::compact::Done;
use maildex::ops::dump::{Part, Shown};
use maildex::ops::repair::{Mended, Repaired};
use serde::Serialize;

use super::{VERSION, line, lossy};

#[derive(Serialize)]
struct BuildRecord<'a> {
    v: u8,
    folder: std::borrow::Cow<'a, str>,
    messages: usize,
    created: bool,
    rebuilt: bool,
    copied: bool,
    uids_lost: usize,
    added: usize,
    removed: usize,
    flags: usize,
    moved: usize,
    renamed: usize,
    replaced: usize,
    healed: usize,
    empty: usize,
    headless: usize,
    unreadable: usize,
    duplicates: usize,
    held_back: usize,
    interrupted: bool,
}

#[derive(Default, Serialize)]
struct CompactRecord<'a> {
    v: u8,
    folder: std::borrow::Cow<'a, str>,
    compacted: bool,
    kept: Option<usize>,
    dropped: Option<usize>,
    bytes_before: Option<u64>,
    bytes_after: Option<u64>,
    dead: Option<usize>,
    messages: Option<usize>,
    dead_percent: Option<u8>,
    still_open: &'a [String],
}

/// What a compaction did.
pub fn compacted(out: &mut impl Write, folder: &Path, done: &Done) -> io::Result<()> {
    let record = CompactRecord { v: VERSION, folder: folder.to_string_lossy(), ..CompactRecord::default() };
    let record = match done {
        Done::Compacted { compacted, still_open } => CompactRecord {
            compacted: true,
            kept: Some(compacted.kept),
            dropped: Some(compacted.dropped),
            bytes_before: Some(compacted.bytes_before),
            bytes_after: Some(compacted.bytes_after),
            still_open,
            ..record
        },
        Done::NotWorthIt(Dead { messages, of, percent, .. }) => {
            CompactRecord { dead: Some(*messages), messages: Some(*of), dead_percent: Some(*percent), ..record }
        }
        Done::CalledOff => record,
    };
    line(out, &record)
}

/// What a build did.
pub fn report(out: &mut impl Write, folder: &Path, report: &Report) -> io::Result<()> {
    let record = BuildRecord {
        v: VERSION,
        folder: folder.to_string_lossy(),
        messages: report.total,
        created: report.created,
        rebuilt: report.rebuilt.is_some(),
        copied: report.copied,
        uids_lost: report.uids_lost,
        added: report.added,
        removed: report.removed,
        flags: report.flags,
        moved: report.moved,
        renamed: report.renamed,
        replaced: report.replaced,
        healed: report.healed,
        empty: report.empty,
        headless: report.headless,
        unreadable: report.unreadable.len(),
        duplicates: report.twins.len(),
        held_back: report.guarded.map_or(0, |(gone, _)| gone),
        interrupted: report.interrupted,
    };
    line(out, &record)
}

/// What `check` found.
#[derive(Serialize)]
struct FindingRecord<'a> {
    v: u8,
    folder: Option<Cow<'a, str>>,
    severity: &'static str,
    finding: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    offset: Option<u64>,
    what: &'a str,
    found: Option<&'a str>,
    expected: Option<&'a str>,
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<&'a str>,
}

/// Prints one finding, and what was made of it, if anything was.
pub fn finding(out: &mut impl Write, folder: Option<&Path>, finding: &Finding, made: Option<&str>) -> io::Result<()> {
    let (path, path_bytes) = lossy(finding.path.as_os_str().as_encoded_bytes());
    line(
        out,
        &FindingRecord {
            v: VERSION,
            folder: folder.map(Path::to_string_lossy),
            severity: finding.severity.as_str(),
            finding: finding.kind,
            path,
            path_bytes,
            offset: finding.at,
            what: &finding.what,
            found: Some(&*finding.found).filter(|found| !found.is_empty()),
            expected: Some(&*finding.expected).filter(|expected| !expected.is_empty()),
            hint: finding.hint.as_deref(),
            made,
        },
    )
}

#[derive(Serialize)]
struct CheckedRecord<'a> {
    v: u8,
    folder: Cow<'a, str>,
    finding: &'static str,
    messages: usize,
    damage: usize,
    notes: usize,
}

/// Prints what a check came to.
pub fn checked(out: &mut impl Write, folder: &Path, checked: &Checked) -> io::Result<()> {
    let Checked { messages, damage, notes } = *checked;
    let (v, folder) = (VERSION, folder.to_string_lossy());
    line(out, &CheckedRecord { v, folder, finding: "summary", messages, damage, notes })
}

/// A field of a file, as `dump` shows it.
#[derive(Serialize)]
struct FieldRecord<'a> {
    v: u8,
    folder: Cow<'a, str>,
    file: &'a str,
    offset: u64,
    length: u64,
    part: &'static str,
    slot: Option<u32>,
    uid: Option<u32>,
    field: &'a str,
    value: &'a str,
    damage: Option<&'a str>,
}

/// Prints a field of a file.
pub fn field(out: &mut impl Write, folder: &Path, shown: &Shown<'_>) -> io::Result<()> {
    let (part, slot, uid) = match shown.part {
        Part::Header => ("header", None, None),
        Part::Slot(no) => ("slot", Some(no), None),
        Part::Entry(uid) => ("entry", None, Some(uid)),
        Part::Gap => ("gap", None, None),
    };
    line(
        out,
        &FieldRecord {
            v: VERSION,
            folder: folder.to_string_lossy(),
            file: shown.file,
            offset: shown.at,
            length: shown.len,
            part,
            slot,
            uid,
            field: shown.field,
            value: &shown.value,
            damage: shown.damage.as_deref(),
        },
    )
}

#[derive(Serialize)]
struct RepairRecord<'a> {
    v: u8,
    folder: Cow<'a, str>,
    finding: &'static str,
    dry_run: bool,
    mended: usize,
    rebuilt: bool,
    kept: Option<usize>,
    read_again: Option<usize>,
    uids_lost: Option<usize>,
    uidvalidity: Option<u32>,
    left: usize,
}

/// Prints what a repair did, or would do.
pub fn repaired(out: &mut impl Write, folder: &Path, done: &Repaired, dry_run: bool) -> io::Result<()> {
    for Mended { finding, made } in &done.mended {
        self::finding(out, Some(folder), finding, Some(made))?;
    }
    for finding in &done.left {
        self::finding(out, Some(folder), finding, None)?;
    }
    let rebuilt = done.rebuilt.as_ref();
    line(
        out,
        &RepairRecord {
            v: VERSION,
            folder: folder.to_string_lossy(),
            finding: "summary",
            dry_run,
            mended: done.mended.len(),
            rebuilt: rebuilt.is_some(),
            kept: rebuilt.map(|rebuilt| rebuilt.kept),
            read_again: rebuilt.map(|rebuilt| rebuilt.read_again),
            uids_lost: rebuilt.map(|rebuilt| rebuilt.lost),
            uidvalidity: rebuilt.and_then(|rebuilt| rebuilt.new_uid_validity).map(|(_, now)| now),
            left: done.left.len(),
        },
    )
}
