//! The files of a replica, which may come from anywhere: what is understood is what would be written, and a state that
//! passes joins with itself to itself.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use maildex::sync::local::Local;
use maildex::sync::log;
use maildex::sync::state::{FolderId, State};
use maildex::sync::text::{
    check, parse_folder, parse_format, parse_mails, parse_numbers, parse_versions, print_folder, print_format,
    print_mails, print_numbers, print_versions,
};
use maildex_fuzz::Scratch;

thread_local!(static SCRATCH: Scratch = Scratch::new());

fuzz_target!(|data: &[u8]| {
    let Some((kind, text)) = data.split_first() else { return };
    match kind {
        b'1' => {
            if let Ok(root) = parse_format(text) {
                assert_eq!(print_format(root), text);
            }
        }
        b'2' => local(text),
        _ => state(text),
    }
});

/// Files of a state, separated by NULs: `vv`, then heads, mails, numbers and logs, each with a letter before it.
fn state(text: &[u8]) {
    let mut files = text.split(|&byte| byte == 0);
    let mut state = State::default();
    if let Ok(versions) = parse_versions(files.next().unwrap_or_default()) {
        assert!(same(&print_versions(&versions), text.split(|&byte| byte == 0).next().unwrap_or_default()));
        state.versions = versions;
    }
    let mut snapshot = State::default();
    for file in files.take(16) {
        let Some((kind, text)) = file.split_first() else { continue };
        let before = state.clone();
        let taken = match kind {
            b'f' => head(&mut state, text),
            b's' => {
                let shard = state_shard(text);
                let parsed = parse_mails(shard, text, &mut state.mails).is_ok();
                if parsed && before.mails.is_empty() {
                    assert!(same(&print_mails(state.mails.iter()), text));
                }
                parsed
            }
            b'u' => state.folders.iter_mut().next().is_some_and(|(id, folder)| {
                let file = number_file(text);
                let (was_empty, parsed) = (folder.uids.is_empty(), parse_numbers(*id, file, text, folder).is_ok());
                if parsed && was_empty {
                    assert!(
                        print_numbers(folder).first().is_none_or(|(number, said)| *number == file && same(said, text))
                    );
                }
                parsed
            }),
            b'=' => {
                snapshot = state.clone();
                true
            }
            _ => log::apply("log", text, &mut state).is_ok(),
        };
        // A file that is refused is the end of the whole.
        if !taken {
            return;
        }
    }
    if check(&state).is_err() {
        return;
    }
    assert_eq!(state.join(&state), state, "joined with itself it is another");
    assert_eq!(State::default().join(&state), state.join(&State::default()), "the order counts");
    if check(&snapshot).is_ok() {
        let (one, other) = (state.join(&snapshot), snapshot.join(&state));
        assert_eq!(one, other, "the order counts");
        if let Err(bad) = check(&one) {
            panic!("two states that pass join to one that does not: {bad}");
        }
        if let Some(text) = log::between(&snapshot, &state) {
            let mut again = snapshot.clone();
            log::apply("log", &text, &mut again).expect("our own log");
            again.versions.clone_from(&state.versions);
            assert_eq!(again, state, "{}", text.escape_ascii());
        }
    }
}

/// Lines are taken as they were printed; of an empty file there may be none.
fn same(printed: &[u8], text: &[u8]) -> bool {
    printed == text || text.is_empty()
}

fn head(state: &mut State, text: &[u8]) -> bool {
    let path = text.rsplit(|&byte| byte == b'\t').next().unwrap_or_default();
    let path = path.strip_suffix(b"\n").unwrap_or(path);
    let id = FolderId::of(path);
    let Ok(folder) = parse_folder(id, text) else { return false };
    assert!(same(&print_folder(&folder), text));
    state.folders.insert(id, folder);
    true
}

/// The shard of the first guid.
fn state_shard(text: &[u8]) -> u8 {
    let digits = text.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// The file that the first number is in.
fn number_file(text: &[u8]) -> u32 {
    let digits = text.split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
    let number: u32 = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0);
    number / maildex::sync::text::NUMBERS
}

fn local(text: &[u8]) {
    SCRATCH.with(|scratch| {
        fs::write(scratch.file("local"), text).expect("write it");
        let _ = Local::read_head(scratch.path(), "");
        let Ok(Some(mut local)) = Local::read(scratch.path(), "") else { return };
        local.save(scratch.path()).expect("write it");
        let again = Local::read(scratch.path(), "").expect("what we wrote").expect("a file");
        assert_eq!(again, local);
    });
}
