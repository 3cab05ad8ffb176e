//! What the tests have tried, counted: the table of `docs/reliability.md`, which `tests/summary.rs` prints at the end.
//!
//! A test that kills, breaks or runs beside others says how often: `Tally::CrashPoints.add(kills)`. Whatever it adds goes
//! to the row of that name, with the module of the caller, so that the row can say what reproduces it. A helper that
//! counts for tests of several modules is `#[track_caller]`. A panic counts as a failure by itself.

use std::fs;
use std::io::Write as _;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// The rows, in the order in which they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tally {
    /// Things done to a folder after which it was compared with a model of it.
    Operations,
    /// Kills, and images of crashed machines; each with a look at all that is left, and at what the next build makes of it.
    CrashPoints,
    /// System calls that were made to fail, and limits and full disks that were run into.
    Faults,
    /// Bits of our files, each flipped.
    BitFlips,
    /// Files that were cut, overwritten, forged or put together from others.
    Damages,
    /// Inputs made by a fuzzer. Written by `fuzz/run`, as are the seconds that it took.
    FuzzExecutions,
    FuzzSeconds,
    /// Orders in which several machines or programs do things, made by a model.
    Schedules,
    /// Readers that ran while somebody wrote, each judged.
    Readers,
    /// Takings of the lock, each watched for a second holder.
    Locks,
    /// Panics of tests.
    Failures,
}

pub const ROWS: [(Tally, &str); 11] = [
    (Tally::Operations, "operations compared with a model"),
    (Tally::CrashPoints, "crash points"),
    (Tally::Faults, "faults injected"),
    (Tally::BitFlips, "bit flips"),
    (Tally::Damages, "files damaged otherwise"),
    (Tally::FuzzExecutions, "fuzz executions"),
    (Tally::FuzzSeconds, "fuzz hours"),
    (Tally::Schedules, "schedules explored"),
    (Tally::Readers, "readers run beside writers"),
    (Tally::Locks, "locks taken beside others"),
    (Tally::Failures, "failures"),
];

impl Tally {
    /// Adds to a row.
    #[track_caller]
    pub fn add(self, number: impl TryInto<u64>) {
        begin();
        self.note(Location::caller().file(), number.try_into().unwrap_or_else(|_| panic!("a count")));
    }

    fn note(self, source: &str, number: u64) {
        let module = source.trim_start_matches("tests/it/").trim_end_matches(".rs").trim_end_matches("/mod");
        let line = format!("{}\t{}::\t{number}\n", self.name(), module.replace('/', "::"));
        let file = fs::OpenOptions::new().create(true).append(true).open(directory().join("tests"));
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("note what was counted");
    }

    pub fn name(self) -> &'static str {
        ROWS[self as usize].1
    }
}

/// Forgets what an earlier run has counted, and counts the failures of this one.
pub fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        fs::create_dir_all(directory()).expect("a place to count");
        let _ = fs::remove_file(directory().join("tests"));
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            Tally::Failures.note(panic.location().map_or("", Location::file), 1);
            before(panic);
        }));
    });
}

/// Where the counts are: `tests`, and a file for each target of the fuzzer.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("tally")
}

#[test]
fn the_document_has_a_row_for_each_count() {
    let document = include_str!("../../docs/reliability.md");
    for (_, name) in ROWS {
        assert!(document.contains(&format!("\n| {name} | ")), "no row for: {name}");
    }
}
