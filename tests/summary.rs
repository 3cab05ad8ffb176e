//! The last words of `cargo test`: how much the tests in `it` have tried, and what they have skipped and how to have it
//! tested.
//!
//! libtest cannot say so itself. Cargo runs test programs in the order of their names, so this one comes after `it`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

#[path = "it/tally.rs"]
#[allow(dead_code)] // the counting is done by the tests
mod tally;

use tally::Tally;

fn main() {
    // Programs that list tests ask every test program; here is none.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let is_long = std::env::var_os("MAILDEX_LONG").is_some_and(|value| value == "1");
    if let Some(table) = table(is_long) {
        println!("\nWhat was tried, see docs/reliability.md:\n\n{table}");
    }
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    match fs::read_to_string(list) {
        Ok(skipped) => println!("Some tests were skipped:\n{skipped}"),
        Err(_) => println!("No test was skipped."),
    }
}

/// The table of all that was counted, if anything was.
fn table(is_long: bool) -> Option<String> {
    let mut rows: BTreeMap<String, (u64, BTreeSet<String>)> = BTreeMap::new();
    for file in fs::read_dir(tally::directory()).ok()? {
        let text = fs::read_to_string(file.expect("a file").path()).expect("read what was counted");
        for line in text.lines() {
            let columns: Vec<_> = line.split('\t').collect();
            let [name, source, number] = columns[..] else { panic!("not a count: {line}") };
            let (sum, sources) = rows.entry(name.to_string()).or_default();
            *sum += number.parse::<u64>().expect("a number");
            sources.insert(source.to_string());
        }
    }
    rows.entry(Tally::Failures.name().to_string()).or_default();
    let mut table = String::from("| what | how many | by |\n|---|---:|---|\n");
    for (row, name) in tally::ROWS {
        let Some((sum, sources)) = rows.get(name) else { continue };
        let sources = sources.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let (number, command) = match row {
            Tally::FuzzSeconds => (format!("{:.2}", *sum as f64 / 3600.0), format!("fuzz/run {sources}")),
            Tally::FuzzExecutions => (grouped(*sum), format!("fuzz/run {sources}")),
            Tally::Failures if sources.is_empty() => (grouped(*sum), "cargo test".into()),
            _ => (grouped(*sum), format!("cargo test -- {sources}")),
        };
        let long = if is_long && command.starts_with("cargo") { "MAILDEX_LONG=1 " } else { "" };
        let _ = writeln!(table, "| {name} | {number} | `{long}{command}` |");
    }
    Some(table)
}

/// `12,345,678`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
