//! Asking and giving way, and names planted where our files would be.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::tests::{ACCESS, Folder, HANGS, PLANTS, Process, locked_by, once, until};
use super::{ASK, Holder, Lock, TURN, Wait, holder, is_wanted};
use crate::error::Error;

fn waits_for(folder: &Folder, wait: Wait) -> crate::error::Result<Lock> {
    Lock::acquire(&folder.dir, "", wait, ACCESS, &mut |_| ())
}

#[test]
fn who_waits_asks_until_he_has_it_or_gives_up_or_dies() {
    let folder = Folder::new();
    assert!(!is_wanted(&folder.dir).unwrap());
    let lock = once(&folder.dir).unwrap();
    locked_by(once(&folder.dir));
    assert!(!folder.file(ASK).exists(), "a single try asks nobody");

    let mut dies = Process::start("hold", &folder);
    dies.said("waits");
    assert!(is_wanted(&folder.dir).unwrap());
    dies.kill();
    assert!(!is_wanted(&folder.dir).unwrap(), "a wish ends with whoever had it");

    let gave_up = waits_for(&folder, Wait::For(Duration::from_millis(1))).unwrap_err();
    assert!(matches!(gave_up, Error::Locked { asked: true, .. }), "{gave_up:?}");
    assert!(gave_up.hint().unwrap().contains("asked to let go"), "{gave_up:?}");
    assert!(!is_wanted(&folder.dir).unwrap());

    let mut waits = Process::start("hold", &folder);
    waits.said("waits");
    assert!(is_wanted(&folder.dir).unwrap());
    until("our turn is over", || lock.held_for() >= TURN);
    assert!(lock.is_asked().unwrap());
    lock.give_way().unwrap();
    waits.said("holds");
    assert!(!is_wanted(&folder.dir).unwrap(), "it has what it wanted");
    waits.end();
    assert_eq!(folder.names(), [""; 0]);
    let permanent = fs::metadata(folder.file(ASK)).unwrap();
    assert_eq!((permanent.mode() & 0o7777, permanent.len()), (0o600, 0));
}

#[test]
fn nobody_has_to_let_go_before_his_turn_is_over() {
    let folder = Folder::new();
    let lock = once(&folder.dir).unwrap();
    let mut waits = Process::start("hold", &folder);
    waits.said("waits");
    until("asked", || lock.is_asked().unwrap());
    assert!(lock.held_for() >= TURN);
    drop(lock);
    waits.said("holds");
    waits.end();
}

/// The one who gives way comes back at once, every time; whoever asked must get it even so.
#[test]
fn who_asks_one_that_always_comes_back_gets_it() {
    let folder = Folder::new();
    let (done, mut back) = (AtomicBool::new(false), 0);
    thread::scope(|scope| {
        let asks = scope.spawn(|| {
            for _ in 0..5 {
                until("the other one is back", || matches!(holder(&folder.dir).unwrap(), Holder::Somebody(_)));
                waits_for(&folder, Wait::For(HANGS)).unwrap().release().unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let lock = waits_for(&folder, Wait::For(HANGS)).unwrap();
            until("asked, or all is done", || done.load(Ordering::SeqCst) || lock.is_asked().unwrap());
            lock.give_way().unwrap();
            back += 1;
        }
        asks.join().unwrap();
    });
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("asking: 5 turns, for which the holder gave way {back} times\n").as_bytes(),
    );
}

#[test]
fn a_planted_ask_file_is_reported_and_left_alone() {
    for (what, plant) in PLANTS {
        let folder = Folder::new();
        fs::write(folder.file("precious"), "data").unwrap();
        let lock = once(&folder.dir).unwrap();
        plant(&folder, ASK);
        let planted = folder.dir.id_of(ASK).unwrap();
        let asks = Lock::acquire(&folder.dir, "", Wait::Forever, ACCESS, &mut |_| panic!("waits for {what}"));
        for error in [asks.unwrap_err(), is_wanted(&folder.dir).unwrap_err()] {
            assert!(
                matches!(&error, Error::NotOurs { path, found } if found == what && *path == folder.file(ASK)),
                "{what}: {error:?}"
            );
        }
        lock.release().unwrap();
        assert_eq!(folder.dir.id_of(ASK).unwrap(), planted, "{what} is still there");
        assert_eq!(fs::read_to_string(folder.file("precious")).unwrap(), "data");
    }
}

#[test]
fn a_stranger_with_the_ask_file_for_himself_stops_nobody() {
    let folder = Folder::new();
    let lock = once(&folder.dir).unwrap();
    let file = folder.dir.open_or_create(ASK, &ACCESS).unwrap();
    fs2::FileExt::try_lock_exclusive(&file).unwrap();
    let error = waits_for(&folder, Wait::For(Duration::from_millis(1))).unwrap_err();
    assert!(matches!(error, Error::Locked { asked: false, .. }), "{error:?}");
    drop(lock);
    waits_for(&folder, Wait::For(HANGS)).unwrap().release().unwrap();
}
