//! `maildex build`: its own files planted, lost, damaged, or written by somebody else at the moment.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use maildex::dir::{Access, Dir};
use maildex::lock::{Lock, Wait};

use crate::mailbox::{Mailbox, mail};

const OURS: [&str; 3] = ["maildex.offsets", "maildex.index.1", "maildex.lock"];

/// It had no hint.
#[test]
fn a_directory_under_the_name_of_an_unfinished_file_is_told_with_a_hint() {
    for name in ["maildex.index.tmp", "maildex.offsets.tmp"] {
        let mail = Mailbox::new().messages(2);
        fs::create_dir(mail.file(name)).expect("a directory");
        let run = mail.run(["build"]).fails_with(3);
        run.stderr_shows(&format!("{name}: found a directory, expected a plain file with one link"));
        run.stderr_shows("hint: maildex did not put it there");
        fs::remove_dir(mail.file(name)).expect("remove it");
        mail.run(["build"]).ok();
        mail.assert_sound();
    }
}

/// Plants something under a name of ours, with and without an index in the folder; nothing may come of it.
fn planted(what: &str, plant: impl Fn(&Path, &Path)) {
    for name in OURS {
        for has_index in [false, true] {
            let mail = Mailbox::new().messages(2);
            if has_index {
                mail.run(["build"]).ok();
            }
            let victim = mail.file("victim");
            fs::write(&victim, "precious\n").expect("write the victim");
            let _ = fs::remove_file(mail.file(name));
            plant(&victim, &mail.file(name));
            let planted = fs::symlink_metadata(mail.file(name)).expect("what was planted");
            mail.deliver("new/3.host", self::mail("mail 3"));
            let expected = format!("{name}: found {what}, expected a plain file with one link");
            let hint = if what.ends_with("links") {
                "hint: a back-up may share it"
            } else {
                "hint: maildex did not put it there"
            };
            mail.run(["build"]).fails_with(3).stderr_has(&expected).stderr_has(hint);
            assert_eq!(fs::read(&victim).expect("the victim"), b"precious\n", "{name}");
            let now = fs::symlink_metadata(mail.file(name)).expect("what was planted");
            assert_eq!((now.file_type(), now.len()), (planted.file_type(), planted.len()), "{name}");
            if has_index && name == "maildex.offsets" {
                mail.run(["list"]).fails_with(3).stderr_has(&expected);
                mail.run(["check"]).fails_with(3).stderr_has(&expected);
            }
            mail.clear(name);
        }
    }
}

impl Mailbox {
    /// With what was planted out of the way the folder is as good as ever.
    fn clear(&self, name: &str) {
        let planted = self.file(name);
        fs::remove_file(&planted).or_else(|_| fs::remove_dir(&planted)).expect("remove what was planted");
        self.run(["build"]).ok();
        self.run(["list", "--uids"]).ok().stdout("1\n2\n3\n");
        self.assert_sound();
    }
}

#[test]
fn a_symlink_under_our_name_is_refused() {
    planted("a symbolic link", |victim, name| symlink(victim, name).expect("a symlink"));
}

#[test]
fn a_dangling_symlink_under_our_name_is_refused() {
    planted("a symbolic link", |victim, name| symlink(victim.with_extension("none"), name).expect("a symlink"));
}

#[test]
fn a_second_link_under_our_name_is_refused() {
    planted("a file with 2 links", |victim, name| fs::hard_link(victim, name).expect("a hard link"));
}

#[test]
fn a_fifo_under_our_name_is_refused_without_waiting_for_it() {
    planted("a fifo", |_, name| assert!(Command::new("mkfifo").arg(name).status().expect("mkfifo runs").success()));
}

#[test]
fn a_directory_under_our_name_is_refused() {
    planted("a directory", |_, name| fs::create_dir(name).expect("a directory"));
}

/// A folder in which UIDs 1, 3 and 5 of 5 are left, so that neither count nor names give the UIDs.
fn indexed() -> Mailbox {
    let mail = Mailbox::new().messages(5);
    mail.run(["build"]).ok();
    for name in ["cur/2.host:2,", "cur/4.host:2,"] {
        mail.remove(name);
    }
    mail.rename("cur/3.host:2,", "cur/3.host:2,S");
    mail.run(["build"]).ok();
    mail
}

const LEFT: [(u64, &str); 3] = [(1, "cur/1.host:2,"), (3, "cur/3.host:2,S"), (5, "cur/5.host:2,")];

/// After this harm a build brings back the same UIDs, UIDVALIDITY and UIDNEXT.
fn healed_by_build(harm: impl Fn(&Mailbox)) {
    let mail = indexed();
    let validity = uidvalidity(&mail);
    harm(&mail);
    mail.run(["build"]).ok();
    mail.assert_listed(&LEFT);
    assert_eq!(uidvalidity(&mail), validity);
    mail.deliver("new/6.host", self::mail("mail 6"));
    mail.run(["list", "--uids", "new"]).ok().stdout("6\n");
    mail.assert_sound();
}

fn uidvalidity(mail: &Mailbox) -> u64 {
    mail.run(["show", "1", "--json"]).ok().json()[0]["uidvalidity"].as_u64().expect("a number")
}

/// Bytes that look like nothing, the same at each run.
fn noise(bytes: &mut [u8]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for byte in bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
}

#[test]
fn either_file_gives_everything_back_when_the_other_is_lost() {
    for name in ["maildex.offsets", "maildex.index.1"] {
        healed_by_build(|mail| mail.remove(name));
    }
}

#[test]
fn either_file_gives_everything_back_when_the_other_is_cut() {
    for name in ["maildex.offsets", "maildex.index.1"] {
        for len in [0, 10, 4000, 4096, 4100, 4500] {
            healed_by_build(|mail| mail.edit(name, |bytes| bytes.truncate(len)));
        }
    }
}

#[test]
fn either_file_gives_everything_back_when_the_other_is_overwritten() {
    for name in ["maildex.offsets", "maildex.index.1"] {
        healed_by_build(|mail| mail.edit(name, |bytes| bytes.fill(0)));
        healed_by_build(|mail| mail.edit(name, |bytes| noise(bytes)));
        healed_by_build(|mail| mail.edit(name, |bytes| noise(&mut bytes[..72])));
    }
}

#[test]
fn damage_behind_the_header_is_healed_by_a_full_build() {
    for name in ["maildex.offsets", "maildex.index.1"] {
        let full = |harm: &dyn Fn(&mut Vec<u8>)| {
            let mail = indexed();
            mail.edit(name, harm);
            mail.run(["check"]).fails_with(1).stderr_has("hint: maildex repair ");
            mail.run(["build", "--full"]).ok();
            mail.assert_listed(&LEFT);
            mail.deliver("new/6.host", self::mail("mail 6"));
            mail.run(["list", "--uids", "new"]).ok().stdout("6\n");
            mail.assert_sound();
        };
        full(&|bytes| noise(&mut bytes[4096..]));
        full(&|bytes| bytes[4096..].fill(0));
        full(&|bytes| bytes[4096 + 20] ^= 1);
        full(&|bytes| bytes[128..].fill(0xff));
    }
}

#[test]
fn no_flipped_bit_outlives_a_full_build() {
    let headers = (0..72).step_by(7).chain((128..312).step_by(6));
    let slots = (0..6).flat_map(|page| [0, 9, 34].map(|at| 4096 + page * 4096 + at));
    let offsets = headers.chain(slots).map(|at| ("maildex.offsets", at));
    let entries = (0..400).step_by(13).map(|at| ("maildex.index.1", at * 2 + 4096));
    let index = (0..72).step_by(7).map(|at| ("maildex.index.1", at)).chain(entries);
    let mail = indexed();
    let sound = mail.own_files();
    for (name, at) in offsets.chain(index) {
        // Nothing in the folder changes, so the files can be put back.
        mail.own_files().keys().for_each(|name| mail.remove(name));
        for (name, bytes) in &sound {
            fs::write(mail.file(name), bytes).expect("put our file back");
        }
        if at >= sound[name].len() {
            continue;
        }
        mail.edit(name, |bytes| bytes[at] ^= 4);
        let run = mail.run(["build", "--full"]);
        assert_eq!(run.code(), Some(0), "bit of byte {at} of {name}\n{run}");
        let listed: Vec<_> = LEFT.iter().map(|&(uid, path)| (uid, path.to_string())).collect();
        assert_eq!(mail.listed(), listed, "bit of byte {at} of {name}");
        let run = mail.run(["check"]);
        assert_eq!(run.code(), Some(0), "bit of byte {at} of {name}\n{run}");
    }
}

#[test]
fn an_index_that_was_made_again_is_told_with_the_reason() {
    for name in ["maildex.offsets", "maildex.index.1"] {
        for lost in [true, false] {
            let mail = indexed();
            if lost {
                mail.remove(name);
            } else {
                mail.edit(name, Vec::clear);
            }
            mail.run(["count"]).fails_with(3).stdout("");
            let told = mail.run(["build", "--json"]).ok().stderr_has("the index was made again, with the same UIDs");
            told.stderr_shows(&format!("{}: ", mail.file(name).display()));
            assert_eq!(told.json()[0]["rebuilt"], true);
            mail.run(["build", "--json"]).ok().silent().stdout_has("\"rebuilt\":false");
            mail.assert_sound();
        }
    }
}

#[test]
fn uids_that_could_not_be_kept_are_told() {
    let mail = indexed();
    mail.deliver("cur/3.host:2,S", self::mail("another one")); // and no entry left to compare it with
    mail.remove("maildex.index.1");
    let run = mail.run(["build", "--json"]).fails_with(4).stderr_has("1 message got a new UID");
    assert!(!run.errors().contains("same UIDs"), "{run}");
    assert_eq!(run.json()[0]["uids_lost"], 1);
    mail.assert_listed(&[(1, "cur/1.host:2,"), (5, "cur/5.host:2,"), (6, "cur/3.host:2,S")]);
    mail.assert_sound();
}

#[test]
fn a_replaced_mail_does_not_inherit_a_uid_from_a_lost_entry() {
    // All of one: most of the folder, and still no copy of it.
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    mail.deliver("cur/1.host:2,", self::mail("another one"));
    mail.remove("maildex.index.1");
    mail.run(["build"]).fails_with(4).stderr_has("1 message got a new UID");
    mail.assert_listed(&[(2, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn a_copy_of_a_folder_without_its_index_file_keeps_the_uids() {
    let mail = indexed();
    fs::rename(mail.file("cur"), mail.file("cur.away")).expect("move cur/ away");
    let cp = |from, to| Command::new("cp").arg("-a").arg(mail.file(from)).arg(mail.file(to)).status();
    assert!(cp("cur.away", "cur").expect("cp runs").success());
    fs::rename(mail.file("new"), mail.file("new.away")).expect("move new/ away");
    assert!(cp("new.away", "new").expect("cp runs").success());
    mail.remove("maildex.index.1");
    mail.run(["build"]).ok();
    mail.assert_listed(&LEFT);
    mail.assert_sound();
}

#[test]
fn a_deleted_index_is_made_again_with_another_uidvalidity() {
    let mail = indexed();
    let before = uidvalidity(&mail);
    mail.remove("maildex.offsets");
    mail.remove("maildex.index.1");
    mail.run(["list"]).fails_with(3).stderr_has("no index").stderr_has("hint: make one with: maildex build");
    // UIDVALIDITY is the second in which the index is made, so this waits for the next one by itself.
    assert_eq!(mail.run(["build", "--json"]).ok().json()[0]["created"], true);
    assert!(uidvalidity(&mail) > before);
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n");
    mail.assert_sound();
}

#[test]
fn both_files_destroyed_is_an_error_and_no_new_uids() {
    let mail = indexed();
    for name in ["maildex.offsets", "maildex.index.1"] {
        mail.edit(name, |bytes| noise(bytes));
    }
    let destroyed = mail.own_files();
    mail.run(["build"]).fails_with(3).stderr_has("magic: found");
    mail.run(["list"]).fails_with(3).stderr_has("maildex.offsets: offset 0: magic: found");
    mail.run(["check"]).fails_with(1).stdout_has("maildex.offsets: offset 0: magic: found");
    assert_eq!(mail.own_files(), destroyed, "the files are as they were, for whoever can make sense of them");
}

#[test]
fn another_version_is_an_error_that_says_so() {
    for name in ["maildex.offsets", "maildex.index.1"] {
        let mail = indexed();
        mail.edit(name, |bytes| {
            bytes[8] = 2;
            bytes[12] ^= 1; // its own CRC; with the old one it would be damage
        });
        let before = mail.own_files();
        for verb in ["build", "list", "count", "check"] {
            let run = mail.run([verb]).fails_with(3).stderr_has(&format!("{name}: format version 2, expected 1"));
            run.stderr_shows("If there never was one it is damaged");
        }
        assert_eq!(mail.own_files(), before);
    }
}

/// The folder lock, held by this process.
fn lock(mail: &Mailbox) -> Lock {
    let dir = Arc::new(Dir::open(&mail.path()).expect("open the folder"));
    let access = Access {
        mode: rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        owner: None,
        group: rustix::process::getegid(),
    };
    Lock::acquire(&dir, "a test", Wait::For(Duration::ZERO), access, &mut |_| ()).expect("the lock is free")
}

#[test]
fn a_held_lock_is_told_with_its_holder() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    let lock = lock(&mail);
    mail.deliver("new/2.host", self::mail("mail 2"));
    let holder = format!("process {} (", std::process::id());
    let run = mail.run(["build", "--wait", "0"]).fails_with(75).stderr_has(&holder).stderr_has("reason: a test");
    run.stderr_has("hint: try again, or wait longer with --wait");
    // Readers do not wait: they answer as of the last refresh, and say so.
    mail.run(["list", "--uids"]).ok().stdout("1\n").stderr_has(&holder).stderr_has("shown as of the last refresh");
    for verb in ["count", "list"] {
        mail.run([verb, "--quiet"]).ok().silent();
    }
    mail.run(["show", "1", "--json"]).ok().stderr_has("as of the last refresh");
    mail.run(["cat", "1"]).ok().stdout(self::mail("mail 1")).stderr_has("as of the last refresh");
    lock.release().expect("let go");
    mail.run(["list", "--uids"]).ok().silent().stdout("1\n2\n");
    mail.assert_sound();
}

#[test]
fn a_lock_that_is_let_go_of_is_waited_for() {
    let mail = Mailbox::new().messages(1);
    let lock = lock(&mail);
    let mut command = mail.command(["build", "--wait", "forever"]);
    let mut waiting = command.stderr(std::process::Stdio::piped()).spawn().expect("maildex runs");
    let mut told = String::new();
    let mut stderr = std::io::BufReader::new(waiting.stderr.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut stderr, &mut told).expect("a line");
    assert!(told.contains("waiting: process ") && told.contains("reason: a test"), "{told}");
    lock.release().expect("let go");
    assert!(waiting.wait().expect("maildex ends").success());
    mail.assert_listed(&[(1, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn who_waits_for_the_lock_dies_of_a_signal_at_once() {
    let mail = Mailbox::new().messages(1);
    let lock = lock(&mail);
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut command = mail.command(["build", "--wait", "forever"]);
        let mut waiting = command.stderr(std::process::Stdio::piped()).spawn().expect("maildex runs");
        let mut told = String::new();
        let mut stderr = std::io::BufReader::new(waiting.stderr.take().expect("a pipe"));
        std::io::BufRead::read_line(&mut stderr, &mut told).expect("a line");
        rustix::process::kill_process(rustix::process::Pid::from_child(&waiting), signal).expect("kill");
        let status = waiting.wait().expect("it ends");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(signal.as_raw()));
    }
    lock.check().expect("the lock is as it was");
    lock.release().expect("let go");
    mail.run(["build"]).ok().silent();
    mail.assert_sound();
}

#[test]
fn when_no_uid_is_left_nothing_is_given_out_twice() {
    use maildex::format::header::{Identity, Kind, RECORD_LEN};
    let mail = Mailbox::new();
    mail.run(["build"]).ok();
    for (name, kind) in [("maildex.offsets", Kind::Offsets), ("maildex.index.1", Kind::Index)] {
        mail.edit(name, |bytes| {
            let record = bytes[..RECORD_LEN].try_into().expect("a record");
            let mut identity = Identity::decode(kind, record).expect("our header");
            identity.uid_floor = u32::MAX - 1;
            bytes[..RECORD_LEN].copy_from_slice(&identity.encode(kind));
        });
    }
    mail.deliver("new/1.host", self::mail("the last one"));
    mail.run(["list", "--uids"]).ok().silent().stdout("4294967295\n");
    mail.deliver("new/2.host", self::mail("one too many"));
    mail.rename("new/1.host", "cur/1.host:2,S");
    for _ in 0..2 {
        let run = mail.run(["build"]).fails_with(4);
        run.stderr_shows("all UIDs up to 4294967295 have been given out; 1 mail not indexed");
        // Everything else is taken up.
        mail.run(["list", "--uids", "--no-refresh", "seen"]).ok().silent().stdout("4294967295\n");
    }
    let run = mail.run(["list", "--uids"]).fails_with(4).stdout("4294967295\n");
    run.stderr_shows("hint: the folder needs a new UIDVALIDITY");
    mail.assert_sound();
}

#[test]
fn a_lockfile_of_the_dead_blocks_nobody() {
    let mail = Mailbox::new().messages(1);
    fs::write(mail.file("maildex.lock"), "id: 1\nhost: elsewhere\npid: 1\nsince: 5\n").expect("write");
    mail.run(["build", "--wait", "0"]).ok().silent();
    assert!(!mail.file("maildex.lock").exists());
    mail.assert_sound();
}

#[test]
fn a_folder_that_may_only_be_read_is_shown_as_of_the_last_refresh() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    mail.deliver("new/3.host", self::mail("mail 3"));
    let set_mode = |mode| fs::set_permissions(mail.path(), fs::Permissions::from_mode(mode)).expect("chmod");
    set_mode(0o500);
    let runs =
        ["list --uids", "count", "show 2", "build", "build --json"].map(|line| mail.run_unprivileged(line.split(' ')));
    set_mode(0o700);
    let [Some(list), Some(count), Some(show), Some(build), Some(json)] = runs else { return };
    let why = "maildex.lock: cannot create: Permission denied";
    list.ok().stdout("1\n2\n").stderr_has(why).stderr_has("shown as of the last refresh");
    count.ok().stdout("2\n").stderr_has("shown as of the last refresh");
    show.ok().stdout_has("mail 2");
    build.fails_with(3).stderr_has(why);
    json.fails_with(3).stdout("");
    mail.assert_sound();
}

#[test]
fn a_directory_that_may_not_be_listed_burns_no_uid() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    let set_mode = |mode| fs::set_permissions(mail.file("cur"), fs::Permissions::from_mode(mode)).expect("chmod");
    for mode in [0o000, 0o300] {
        set_mode(mode);
        let runs = ["build", "list --uids"].map(|line| mail.run_unprivileged(line.split(' ')));
        set_mode(0o700);
        let [Some(build), Some(list)] = runs else { return };
        build.fails_with(3).stderr_has("cur: cannot open: Permission denied");
        list.ok().stdout("1\n2\n").stderr_has("cur: cannot open").stderr_has("shown as of the last refresh");
    }
    mail.assert_listed(&[(1, "cur/1.host:2,"), (2, "cur/2.host:2,")]);
    mail.assert_sound();
}

#[test]
fn before_the_first_build_has_finished_readers_are_sent_away() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    // The marks of a first build that was stopped: none; see `src/format/header.rs`.
    mail.edit("maildex.offsets", |bytes| {
        let none = maildex::format::word::Number::encode(0);
        bytes[152..160].copy_from_slice(&none.to_le_bytes());
    });
    for verb in ["list", "count"] {
        mail.run([verb]).fails_with(75).stderr_has("the first build of the index has not finished").stdout("");
    }
    for verb in ["show", "cat"] {
        mail.run([verb, "1"]).fails_with(75).stderr_has("hint: wait for it, or run it: maildex build");
    }
    mail.run(["build"]).ok();
    mail.run(["count"]).ok().stdout("2\n");
    mail.assert_sound();
}

#[test]
fn an_older_offsets_file_put_back_gives_no_uid_twice() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    let old = mail.own_files()["maildex.offsets"].clone();
    mail.deliver("new/4.host", self::mail("mail 4"));
    mail.run(["list", "--uids", "--last", "1"]).ok().stdout("4\n");
    mail.remove("new/4.host");
    mail.edit("maildex.offsets", |bytes| *bytes = old);
    mail.deliver("new/5.host", self::mail("mail 5"));
    mail.run(["build"]).ok();
    mail.run(["list", "--uids", "--last", "1"]).ok().stdout("5\n");
    mail.assert_sound();
}

#[test]
fn whatever_a_killed_writer_left_is_removed_by_the_next_build() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    for name in ["maildex.index.2", "maildex.index.tmp", "maildex.offsets.tmp"] {
        fs::write(mail.file(name), "half of something").expect("write");
    }
    mail.deliver("new/2.host", self::mail("mail 2"));
    mail.run(["build"]).ok();
    assert_eq!(mail.own_files().into_keys().collect::<Vec<_>>(), ["maildex.index.1", "maildex.offsets"]);
    mail.assert_sound();
}

#[test]
fn an_index_file_with_an_impossible_number_is_none_of_ours() {
    let mail = Mailbox::new().messages(1);
    fs::write(mail.file("maildex.index.18446744073709551615"), "").expect("write");
    mail.run(["build"]).ok();
    mail.assert_listed(&[(1, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn a_link_in_place_of_a_directory_is_no_empty_folder() {
    let mail = Mailbox::new().messages(1);
    fs::rename(mail.file("cur"), mail.file("elsewhere")).expect("rename");
    symlink("elsewhere", mail.file("cur")).expect("symlink");
    mail.run(["build"]).fails_with(3).stderr_has("cur: cannot list: Not a directory");
}

#[test]
fn readers_refresh_first_after_a_crash_of_the_machine() {
    let mail = Mailbox::new().messages(1).message("cur/2.host:2,FS", self::mail("mail 2"));
    mail.run(["build"]).ok();
    // The header page with its stamps reached the disk, the store of the flags did not; and the machine was started
    // again. See the tables in `src/format/header.rs` and `src/format/block.rs`.
    mail.edit("maildex.offsets", |bytes| {
        let crc = |bytes: &[u8]| u64::from(crc32c::crc32c(bytes)).to_le_bytes();
        for stamp in [192, 256] {
            bytes[stamp + 40..stamp + 48].copy_from_slice(&1u64.to_le_bytes());
            let crc = crc(&bytes[stamp..stamp + 48]);
            bytes[stamp + 48..stamp + 56].copy_from_slice(&crc);
        }
        bytes.copy_within(4096..4104, 4104); // the flags of the first message: none
    });
    let flags = |mail: &Mailbox| mail.run(["list", "--json"]).ok().json()[1]["flags"].clone();
    assert_eq!(flags(&mail), "", "as long as the machine runs the stamps count");
    mail.edit("maildex.offsets", |bytes| {
        bytes[160] ^= 1; // another boot id
        let crc = u64::from(crc32c::crc32c(&bytes[160..176])).to_le_bytes();
        bytes[176..184].copy_from_slice(&crc);
    });
    assert_eq!(flags(&mail), "FS");
    mail.assert_sound();
}
