//! A folder whose two files hold anything: `build` mends them or says that it cannot, and when it has, all is sound and
//! no number that was proved is of another mail.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use maildex::folder::Folder;
use maildex::format::status::Status;
use maildex::index::OFFSETS;
use maildex::lock::Wait;
use maildex::ops::build::{Options, build};
use maildex::ops::check::{Severity, check};
use maildex_fuzz::{Input, Scratch};

const INDEX: &str = "maildex.index.1";
const MAILS: usize = 5;

thread_local!(static SCRATCH: Scratch = filled());

/// A folder with some mail, of which one is expunged.
fn filled() -> Scratch {
    let scratch = Scratch::new();
    for n in 0..=MAILS {
        fs::write(scratch.file(&format!("cur/{n}.fuzz:2,")), format!("Subject: {n}\n\n")).expect("write a mail");
    }
    rebuild(scratch.path()).expect("the first build");
    fs::remove_file(scratch.file("cur/0.fuzz:2,")).expect("remove a mail");
    rebuild(scratch.path()).expect("a refresh");
    scratch
}

/// Both files as they should be.
fn sound(scratch: &Scratch) -> &'static [Vec<u8>; 2] {
    static SOUND: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    SOUND.get_or_init(|| [OFFSETS, INDEX].map(|name| fs::read(scratch.file(name)).expect("read it")))
}

fn rebuild(path: &Path) -> maildex::Result<()> {
    let folder = Folder::open(path)?;
    // A refresh looks at what has changed; this one at everything.
    let options = Options { heal: true, full: true, ..Options::default() };
    build(&folder, options, Wait::Forever, &mut |_| (), &mut |_| ControlFlow::Continue(())).map(drop)
}

/// Base names by UID, as a reader has them, of live mail.
fn listed(path: &Path) -> maildex::Result<BTreeMap<u32, Vec<u8>>> {
    let mut folder = Folder::open(path)?;
    let snapshot = folder.complete_index()?.snapshot()?;
    let mut entries = snapshot.index().entries()?;
    let mut listed = BTreeMap::new();
    for slot in snapshot.slots() {
        if !slot.status()?.has(Status::EXPUNGED) {
            let base = entries.read(&slot)?.base.to_vec();
            listed.insert(slot.uid()?.get(), base);
        }
    }
    Ok(listed)
}

fuzz_target!(|data: &[u8]| {
    SCRATCH.with(|scratch| {
        let mut files = sound(scratch).clone();
        let input = &mut Input(data);
        while !input.is_empty() {
            let what = input.number::<1>();
            let file = &mut files[what as usize & 1];
            let at = input.number::<2>() as usize % (file.len() + 1);
            match what >> 1 & 3 {
                0 => {
                    let piece = input.piece();
                    let len = piece.len().min(file.len() - at);
                    file[at..at + len].copy_from_slice(&piece[..len]);
                }
                1 => file.truncate(at),
                2 => {
                    // Swapped with what stands elsewhere, in whole words.
                    let (a, b) = (at & !7, (input.number::<2>() as usize % (file.len() + 1)) & !7);
                    if a.max(b) + 8 <= file.len() {
                        for n in 0..8 {
                            file.swap(a + n, b + n);
                        }
                    }
                }
                _ => {
                    let len = input.number::<1>() as usize;
                    let end = (at + len).min(file.len());
                    file[at..end].fill(0);
                }
            }
        }
        for name in fs::read_dir(scratch.path()).expect("read the folder") {
            let name = name.expect("an entry").file_name().into_string().expect("a name");
            if name.starts_with("maildex.index.") {
                fs::remove_file(scratch.file(&name)).expect("remove it");
            }
        }
        scratch.put(OFFSETS, &files[0]);
        scratch.put(INDEX, &files[1]);
        // Proved is what a reader shows; what it refuses is not.
        let before = listed(scratch.path()).unwrap_or_default();
        let base = |n: usize| format!("{n}.fuzz").into_bytes();
        for (uid, shown) in &before {
            assert_eq!(*shown, base(*uid as usize - 1), "UID {uid} is shown as another mail");
        }
        if rebuild(scratch.path()).is_err() {
            return;
        }
        let after = listed(scratch.path()).expect("an index that was built");
        let all: Vec<_> = (1..=MAILS).map(base).collect();
        let mut there: Vec<_> = after.values().cloned().collect();
        there.sort();
        assert_eq!(there, all, "each mail once");
        for (uid, shown) in &after {
            let is_its_own = *shown == base(*uid as usize - 1);
            assert!(is_its_own || *uid as usize > MAILS + 1, "UID {uid} is of another mail than it was");
        }
        let folder = Folder::open(scratch.path()).expect("open the folder");
        let mut damage = Vec::new();
        check(&folder, true, &mut |finding| {
            if finding.severity == Severity::Damage {
                damage.push(finding.to_string());
            }
        })
        .expect("an index that was built");
        assert!(damage.is_empty(), "{damage:#?}");
    });
});
