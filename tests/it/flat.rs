//! What must cost the same in a folder of 1,000 mails and in one of 20,000. Counted, not timed: system calls by strace,
//! instructions by callgrind, which are the same at each run but for a few.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::mailbox::{Mailbox, figures, installed, skipped};

const SMALL: usize = 1_000;
const LARGE: usize = 20_000;

/// Verbs that are flat, on the UID in the middle. Whoever flags changes the stamps, so build comes first.
const FLAT: [&[&str]; 5] = [
    &["build", "--quiet"],
    &["show", "UID"],
    &["flag", "+F", "UID"],
    &["flag", "-F", "UID"],
    &["list", "UID", "unseen", "--no-refresh"],
];

/// Others, of which only the system calls are: they look at each message, in memory.
const FLAT_IN_CALLS: [&[&str]; 2] = [&["count", "unseen", "--no-refresh"], &["list", "flagged", "--no-refresh"]];

/// A program that is stopped for a while may look once more whether somebody wants the lock; a heap may grow once more.
const MORE_CALLS: usize = 12;

/// A search by halves takes some steps more.
const MORE_INSTRUCTIONS: f64 = 1.05;

fn folder(mails: usize) -> Mailbox {
    let mail = Mailbox::in_memory();
    for n in 1..=mails {
        // Half of them unseen, and none flagged.
        let info = if n % 2 == 0 { "2,S" } else { "2," };
        fs::write(mail.file(format!("cur/{}.{n}.host:{info}", 1_700_000_000 + n)), "Subject: x\n\n").expect("write");
    }
    mail.run(["build"]).ok();
    mail.trust_stamps();
    mail
}

fn command(mail: &Mailbox, mails: usize, words: &[&str], tool: &[String]) -> Command {
    let uid = (mails / 2).to_string();
    let plain = mail.command(words.iter().map(|&word| if word == "UID" { uid.as_str() } else { word }));
    let mut command = Command::new(&tool[0]);
    command.args(&tool[1..]).arg(plain.get_program()).args(plain.get_args());
    command
}

/// System calls of a verb, by name. Calls for memory depend on how the heap happens to lie, and are left out.
fn calls(mail: &Mailbox, mails: usize, words: &[&str]) -> BTreeMap<String, usize> {
    let log = mail.path().with_extension("strace");
    let tool = ["strace", "-f", "-qq", "-e", "signal=none", "-o", log.to_str().expect("UTF-8")].map(String::from);
    let _ = mail.finish(&mut command(mail, mails, words, &tool)).ok();
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(&log).expect("what strace wrote").lines() {
        // `4711 openat(...` with the pid before it; the second half of a call that was split has no name there.
        let call = line.split_whitespace().nth(1).and_then(|word| word.split_once('('));
        let Some((name, _)) = call else { continue };
        if !["brk", "mmap", "munmap", "mremap", "mprotect", "madvise"].contains(&name) {
            *calls.entry(name.to_string()).or_default() += 1;
        }
    }
    calls
}

fn instructions(mail: &Mailbox, mails: usize, words: &[&str]) -> f64 {
    let tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"].map(String::from);
    let run = mail.finish(&mut command(mail, mails, words, &tool)).ok();
    let count = run.errors().lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.unwrap_or_else(|| panic!("callgrind told no count\n{run}"))
}

#[test]
fn what_is_flat_takes_no_more_calls_and_instructions_in_a_large_folder() {
    let (has_strace, has_valgrind) = (installed("strace"), installed("valgrind"));
    if !has_strace {
        skipped("the system calls of verbs that must not cost more in large folders", "install strace");
    }
    if !has_valgrind {
        skipped("the instructions of verbs that must not cost more in large folders", "install valgrind");
    }
    let (small, large) = (folder(SMALL), folder(LARGE));
    for words in FLAT.into_iter().chain(FLAT_IN_CALLS) {
        let mut told = words.join(" ");
        if has_strace {
            let few = calls(&small, SMALL, words);
            let many = calls(&large, LARGE, words);
            let [sum, more] = [&few, &many].map(|calls| calls.values().sum::<usize>());
            assert!(sum > 20 && more <= sum + MORE_CALLS, "{words:?}: {sum} and {more} calls\n{few:?}\n{many:?}");
            let _ = write!(told, ": {sum} and {more} system calls");
        }
        if has_valgrind && FLAT.contains(&words) {
            let few = instructions(&small, SMALL, words);
            let many = instructions(&large, LARGE, words);
            assert!(few > 1e5 && many <= few * MORE_INSTRUCTIONS, "{words:?}: {few} and {many} instructions");
            let _ = write!(told, ", {:.2} and {:.2} million instructions", few / 1e6, many / 1e6);
        }
        figures(&told);
    }
    small.assert_sound();
    large.assert_sound();
}
