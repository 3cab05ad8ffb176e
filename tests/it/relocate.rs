//! `maildex move` and `copy`: the mail is in the folder that it was to get to, as it was, and known to both indexes.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use maildex::folder::Folder;
use maildex::lock::{Owner, Wait};
use maildex::maildir::change::FlagChange;
use maildex::ops::flag::{Plan, Whose};
use maildex::ops::relocate::{Kind, relocate};
use maildex::query::message::MessageRef;

use crate::flag::indexed;
use crate::mailbox::{Mailbox, Run, figures, forbidden, installed, long, mail, maildex, skipped};
use crate::sweep::{STRACE, strace_works};

/// Two folders beside each other, and what runs maildex on them.
pub struct Two {
    pub mail: Mailbox,
    pub dest: PathBuf,
}

impl Two {
    fn new(mails: usize) -> Two {
        let two = Two::around(indexed(mails));
        two.run(&["build"], &two.dest).ok();
        two
    }

    /// The other folder has no index.
    fn around(mail: Mailbox) -> Two {
        let dest = mail.path().with_file_name("dest");
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(dest.join(sub)).expect("mkdir");
        }
        let past = std::time::SystemTime::now() - Duration::from_hours(1);
        let folder = fs::File::open(&dest).expect("open the folder");
        folder.set_times(fs::FileTimes::new().set_modified(past)).expect("set the folder's mtime");
        Two { mail, dest }
    }

    pub fn dest(&self) -> &str {
        self.dest.to_str().expect("a path")
    }

    /// `maildex VERB FOLDER ...`
    pub fn run(&self, words: &[&str], folder: &Path) -> Run {
        self.mail.finish(Command::new(maildex()).arg(words[0]).arg(folder).args(&words[1..]))
    }

    fn relocate(&self, verb: &str, messages: &[&str]) -> Run {
        self.mail.run([&[verb, self.dest()], messages].concat())
    }

    fn in_dest(&self) -> Vec<String> {
        files(&self.dest)
    }
}

/// What is in new/, cur/ and tmp/, in order.
pub fn files(folder: &Path) -> Vec<String> {
    let of = |sub: &'static str| {
        let entries = fs::read_dir(folder.join(sub)).expect("list");
        entries.map(move |entry| format!("{sub}/{}", entry.expect("an entry").file_name().to_str().expect("UTF-8")))
    };
    let mut files: Vec<_> = ["new", "cur", "tmp"].into_iter().flat_map(of).collect();
    files.sort();
    files
}

#[test]
fn a_moved_mail_is_in_the_other_folder_as_it_was() {
    let two = Two::new(3);
    let before = fs::metadata(two.mail.file("cur/2.host:2,")).expect("stat");
    let run = two.relocate("move", &["2"]).ok().silent();
    assert_eq!(run.text(), format!("1\t{}\n", two.dest.join("cur/2.host:2,").display()));
    let after = fs::metadata(two.dest.join("cur/2.host:2,")).expect("stat");
    assert_eq!((before.ino(), before.modified().expect("mtime")), (after.ino(), after.modified().expect("mtime")));
    two.mail.assert_files(["cur/1.host:2,", "cur/3.host:2,"]);
    two.mail.run(["list", "--no-refresh", "--uids"]).ok().stdout("1\n3\n");
    two.run(&["list", "--no-refresh", "--uids"], &two.dest).ok().stdout("1\n");
    two.run(&["check"], &two.dest).ok();
    two.mail.assert_sound();
}

#[test]
fn a_copy_is_a_file_of_its_own() {
    let two = Two::new(2);
    two.relocate("copy", &["1:2"]).ok().silent();
    assert_eq!(two.in_dest(), ["cur/1.host:2,", "cur/2.host:2,"]);
    for name in ["cur/1.host:2,", "cur/2.host:2,"] {
        let (one, other) = (two.mail.file(name), two.dest.join(name));
        let of = |path: &Path| fs::metadata(path).expect("stat");
        assert_ne!(of(&one).ino(), of(&other).ino());
        assert_eq!(of(&one).nlink(), 1);
        assert_eq!(of(&one).modified().expect("mtime"), of(&other).modified().expect("mtime"));
        assert_eq!(fs::read(one).expect("read"), fs::read(other).expect("read"));
    }
    // A second copy is another mail, with another name.
    two.relocate("copy", &["1"]).ok();
    assert_eq!(two.in_dest().len(), 3);
    two.run(&["list", "--no-refresh", "--uids"], &two.dest).ok().stdout("1\n2\n3\n");
    two.mail.run(["list", "--no-refresh", "--uids"]).ok().stdout("1\n2\n");
    two.run(&["check"], &two.dest).ok();
    two.mail.assert_sound();
}

#[test]
fn names_keep_what_is_the_mails_and_lose_what_is_the_folders() {
    let mail = Mailbox::new()
        .message("cur/1.host,S=10,W=11,U=5,FMD5=0123:2,FS", mail("mail 1"))
        .message("new/2.host,U=6", self::mail("mail 2"))
        .message("cur/3.host:1,odd", self::mail("mail 3"));
    mail.run(["build"]).ok();
    let two = Two::around(mail);
    two.relocate("move", &["1:*"]).ok().silent();
    assert_eq!(two.in_dest(), ["cur/1.host,S=10,W=11:2,FS", "cur/3.host:1,odd", "new/2.host"]);
    two.mail.assert_files([""; 0]);
    two.mail.assert_sound();
}

#[test]
fn a_name_of_which_nothing_is_left_is_a_new_one() {
    let mail = Mailbox::new().message("cur/,U=5:2,S", mail("mail 1")).message("cur/,U=6", self::mail("mail 2"));
    mail.run(["build"]).ok();
    let two = Two::around(mail);
    two.relocate("copy", &["1:2"]).ok().silent();
    two.relocate("move", &["1:2"]).ok().silent();
    let names = two.in_dest();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("cur/1")), "{names:?}");
}

#[test]
fn a_name_that_is_taken_and_long_keeps_what_fits() {
    let name = format!("cur/1.host,S=77,{}:2,FS", "x".repeat(230));
    let mail = Mailbox::new().message(&name, mail("mail 1"));
    mail.run(["build"]).ok();
    let two = Two::around(mail);
    two.relocate("copy", &["1"]).ok().silent();
    two.relocate("move", &["1"]).ok().silent();
    let names = two.in_dest();
    assert!(names.contains(&name) && names.iter().any(|name| name.ends_with(",S=77:2,FS")), "{names:?}");
}

/// Between the move and the lock of the folder that it came from anything can happen; what others have seen counts.
#[test]
fn a_mail_that_has_come_back_meanwhile_is_not_forgotten() {
    let two = Two::new(2);
    let (mut from, mut to) = (Folder::open(&two.mail.path()).expect("open"), Folder::open(&two.dest).expect("open"));
    let mut lock = Some(from.lock("test", Wait::Forever, &mut |_| ()).expect("lock"));
    let back = &mut |_: Option<&Owner>| {
        let Some(lock) = lock.take() else { return };
        fs::rename(two.dest.join("cur/1.host:2,"), two.mail.file("cur/1.host:2,S")).expect("rename");
        lock.release().expect("release");
        two.mail.run(["build"]).ok();
        two.mail.trust_stamps();
    };
    let changes = [(FlagChange::default(), Whose::Named(MessageRef::parse("1".as_ref()).expect("a UID")))];
    let plan = Plan { changes: &changes, dry_run: false, wait: Wait::Forever };
    let done = relocate(&mut from, &mut to, Kind::Move, &plan, back, &mut |_| ControlFlow::Continue(()));
    assert_eq!(done.expect("move").messages.len(), 1);
    assert!(lock.is_none());
    two.mail.run(["list", "--uids"]).ok().stdout("1\n2\n");
    two.mail.assert_sound();
}

/// A copy might even get the inode of the mail that is gone, and then its UID.
#[test]
fn a_name_that_the_index_still_has_for_another_mail_is_not_given_again() {
    for verb in ["copy", "move"] {
        let mut two = Two::new(5);
        two.mail = two.mail.message("cur/6.host:2,", mail("mail 6"));
        for n in 1..=6 {
            fs::write(two.dest.join(format!("cur/{n}.host:2,")), self::mail("another")).expect("write");
        }
        two.run(&["build"], &two.dest).ok();
        for n in 1..=6 {
            fs::remove_file(two.dest.join(format!("cur/{n}.host:2,"))).expect("remove");
        }
        two.relocate(verb, &["1:5", "6.host"]).ok().silent();
        let names = two.in_dest();
        assert!(names.len() == 6 && names.iter().all(|name| !name.contains(".host:")), "{verb}: {names:?}");
        two.run(&["list", "--uids"], &two.dest).ok().stdout("7\n8\n9\n10\n11\n12\n");
        two.mail.assert_sound();
    }
}

/// It was only the index that had not seen it go.
#[test]
fn a_mail_that_comes_back_has_its_name_again() {
    let two = Two::new(2);
    fs::rename(two.mail.file("cur/1.host:2,"), two.dest.join("cur/1.host:2,S")).expect("rename");
    let back = two.mail.path();
    two.run(&["move", back.to_str().expect("a path"), "1.host"], &two.dest).ok().silent();
    two.mail.assert_files(["cur/1.host:2,S", "cur/2.host:2,"]);
    two.mail.run(["list", "--uids"]).ok().stdout("1\n2\n");
    two.mail.assert_sound();
}

#[test]
fn a_mail_that_is_named_twice_is_meant_once() {
    let two = Two::new(3);
    two.relocate("copy", &["1", "1:2", "1.host", "--dry-run"]).ok().silent();
    let run = two.relocate("copy", &["1", "1:2", "1.host"]).ok().silent();
    assert_eq!(run.text().lines().count(), 2, "{run}");
    assert_eq!(two.in_dest(), ["cur/1.host:2,", "cur/2.host:2,"]);
    two.relocate("move", &["3", "3.host", "1:*"]).ok().silent();
    assert_eq!(two.in_dest().len(), 5);
    two.mail.assert_sound();
}

/// It is in the folder, and what is wrong with it the next reader says.
#[test]
fn a_mail_that_cannot_be_read_does_not_stop_the_rest() {
    let two = Two::new(3);
    let file = two.mail.file("cur/2.host:2,");
    fs::set_permissions(file, fs::Permissions::from_mode(0o000)).expect("chmod");
    let Some(run) = two.mail.run_unprivileged(["move", two.dest(), "1:3"]) else { return };
    let (one, none, other) = ("1\t", "-\t", "2\t");
    let starts: Vec<_> = run.ok().text().lines().map(|line| line[..2].to_string()).collect();
    assert_eq!(starts, [one, none, other]);
    assert_eq!(two.in_dest(), ["cur/1.host:2,", "cur/2.host:2,", "cur/3.host:2,"]);
    two.mail.run(["list", "--no-refresh", "--uids"]).ok().stdout("");
}

/// Where the index of the folder is up to date it is asked which names are taken; else the folder is listed.
#[test]
fn a_name_that_is_taken_is_given_to_nobody_else() {
    let two = Two::new(6);
    fs::write(two.dest.join("cur/2.host:2,F"), mail("another")).expect("write");
    two.relocate("move", &["2"]).ok();
    for name in ["3", "4", "5", "6"] {
        fs::write(two.dest.join(format!("cur/{name}.host:2,F")), self::mail("another")).expect("write");
    }
    // Until nothing but the index need be asked.
    let settled = || fs::metadata(two.dest.join("cur")).expect("stat").ctime() + 3 < now();
    while !settled() {
        std::thread::sleep(Duration::from_millis(50));
    }
    two.run(&["build"], &two.dest).ok();
    if installed("strace") {
        let log = two.mail.path().with_file_name("log");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-e", "trace=getdents64", "-o"]).arg(&log);
        let command = two.mail.command(["move", two.dest(), "1", "3:6"]);
        two.mail.finish(strace.arg(command.get_program()).args(command.get_args())).ok();
        let log = fs::read_to_string(log).expect("read");
        assert!(!log.contains(two.dest()), "it was listed: {log}");
    } else {
        two.relocate("move", &["1", "3:6"]).ok();
    }
    let names = two.in_dest();
    assert_eq!(names.len(), 5 + 6, "{names:?}");
    let ours = ["1", "2", "3", "4", "5", "6"]
        .map(|n| names.iter().filter(|name| name.contains(&format!("/{n}.host"))).count());
    assert_eq!(ours, [1; 6], "{names:?}");
    two.run(&["build"], &two.dest).ok();
    two.run(&["check"], &two.dest).ok();
    two.mail.assert_sound();
}

/// Somebody renames the mail just before it is moved: at the second try its own name was taken for another mail's.
#[test]
fn a_mail_that_is_renamed_under_our_hands_keeps_its_base_name() {
    if !strace_works() {
        return skipped("a move that has to try again", STRACE);
    }
    let two = Two::new(2);
    let command = two.mail.command(["move", two.dest(), "1"]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", "trace=renameat2", "-e", "inject=renameat2:error=ENOENT:when=1"]);
    two.mail.finish(strace.arg(command.get_program()).args(command.get_args())).ok();
    assert_eq!(two.in_dest(), ["cur/1.host:2,"]);
    two.mail.assert_sound();
}

/// Seconds since 1970.
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs() as i64
}

#[test]
fn keywords_go_by_their_names() {
    let mail =
        Mailbox::new().message("cur/1.host:2,Sab", mail("mail 1")).message("cur/2.host:2,c", self::mail("mail 2"));
    mail.run(["build"]).ok();
    let two = Two::around(mail);
    two.relocate("copy", &["1"]).ok().silent();
    fs::write(two.mail.file("dovecot-keywords"), "0 red\n1 blue\n2 lost\n").expect("write");
    two.relocate("copy", &["1"]).ok().stderr_has("letters of keywords were kept");
    fs::write(two.dest.join("dovecot-keywords"), "0 green\n1 red\n25 blue\n").expect("write");
    let run = two.relocate("copy", &["1:2", "--json"]).ok().stderr_has("left out: lost");
    let flags: Vec<_> = run.json().iter().map(|record| record["flags"].as_str().expect("flags").to_string()).collect();
    assert_eq!(flags, ["Sbz", ""]);
    assert_eq!(run.json()[0]["keywords"], serde_json::json!(["red", "blue"]));
    two.mail.assert_sound();
}

#[test]
fn a_folder_can_be_made_and_needs_no_index() {
    let mail = indexed(2);
    let two = Two { dest: mail.path().join(".New"), mail };
    two.relocate("move", &["1"]).fails_with(3).stderr_has(".New");
    two.relocate("move", &["1", "--create", "--dry-run"]).fails_with(3);
    let run = two.relocate("move", &["1", "--create"]).ok().silent();
    assert!(run.text().starts_with("-\t"), "{run}");
    assert_eq!(two.in_dest(), ["cur/1.host:2,"]);
    let mode = |path: PathBuf| fs::metadata(path).expect("stat").mode();
    for sub in ["", "cur", "new", "tmp"] {
        assert_eq!(mode(two.mail.path().join(sub)), mode(two.dest.join(sub)), "{sub}");
    }
    assert!(!two.dest.join("maildex.offsets").exists());
    two.mail.assert_sound();
}

#[test]
fn what_makes_no_sense_is_wrong_usage_and_does_nothing() {
    let two = Two::new(2);
    let inside = two.mail.path();
    let inside = inside.to_str().expect("a path");
    for verb in ["move", "copy"] {
        two.mail.run([verb, inside, "1"]).fails_with(2).stderr_has("in this folder already");
        two.mail.run([verb, two.dest()]).fails_with(2).stderr_has("MSG is missing");
        two.mail.run([verb, two.dest(), "--query"]).fails_with(2);
        two.mail.run([verb, two.dest(), "--query", ""]).fails_with(2);
        two.relocate(verb, &["7"]).fails_with(4).stderr_has("no message with UID 7");
    }
    assert_eq!(two.in_dest(), Vec::<String>::new());
    assert_eq!(two.mail.mails().len(), 2);
    two.mail.assert_sound();
}

#[test]
fn a_dry_run_says_what_would_be_done() {
    let two = Two::new(2);
    let run = two.relocate("move", &["1:2", "--dry-run"]).ok().silent();
    assert_eq!(run.text().lines().count(), 2);
    assert!(run.text().contains("dest/cur/1.host:2,"), "{run}");
    assert_eq!(two.in_dest(), Vec::<String>::new());
    assert_eq!(two.mail.mails().len(), 2);
}

#[test]
fn paths_of_many_folders_go_to_one() {
    let two = Two::new(3);
    let root = two.mail.path().parent().expect("it has one").to_path_buf();
    let list = format!("{}\n{}\n", two.mail.file("cur/1.host:2,").display(), two.mail.file("cur/3.host:2,").display());
    let path = root.join("list");
    fs::write(&path, list).expect("write");
    let mut command = Command::new(maildex());
    command.arg("move").arg("-r").arg(&root).arg(&two.dest).arg("-").stdin(fs::File::open(path).expect("open"));
    two.mail.finish(&mut command).ok().silent();
    assert_eq!(two.in_dest(), ["cur/1.host:2,", "cur/3.host:2,"]);
    two.mail.assert_sound();
}

/// A place on another file system than the mail is on.
fn elsewhere(mail: &Mailbox) -> Option<tempfile::TempDir> {
    let elsewhere = Path::new("/dev/shm");
    let dev = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    if dev(elsewhere).is_none() || dev(elsewhere) == dev(&mail.path()) {
        forbidden("a move to another file system", "have /dev/shm on a file system of its own");
        return None;
    }
    Some(tempfile::tempdir_in(elsewhere).expect("a directory"))
}

#[test]
fn a_copy_is_taken_back_if_the_original_cannot_be_removed() {
    let mail = indexed(2);
    let Some(place) = elsewhere(&mail) else { return };
    let two = Two { dest: place.path().join("dest"), mail };
    two.relocate("copy", &["2", "--create"]).ok();
    // Where mail is taken away it goes by way of this directory.
    fs::remove_dir(two.mail.file("tmp")).expect("rmdir");
    two.relocate("move", &["1"]).fails_with(4).stdout("");
    assert_eq!(two.in_dest(), ["cur/2.host:2,"]);
    assert_eq!(two.mail.mails().len(), 2);
    fs::create_dir(two.mail.file("tmp")).expect("mkdir");
    two.relocate("move", &["1"]).ok();
    assert_eq!(two.in_dest(), ["cur/1.host:2,", "cur/2.host:2,"]);
    two.mail.assert_sound();
}

/// A file system of its own for the other folder.
#[test]
fn to_another_file_system_it_is_copied_and_then_removed() {
    let mail = indexed(3);
    let Some(place) = elsewhere(&mail) else { return };
    let two = Two { dest: place.path().join("dest"), mail };
    let before = fs::metadata(two.mail.file("cur/1.host:2,")).expect("stat");
    two.relocate("move", &["1", "--create"]).ok().silent();
    let after = fs::metadata(two.dest.join("cur/1.host:2,")).expect("stat");
    assert_eq!(before.modified().expect("mtime"), after.modified().expect("mtime"));
    assert_eq!(before.mode(), after.mode());
    assert_eq!(two.in_dest(), ["cur/1.host:2,"]);
    assert_eq!(files(&two.mail.path()), ["cur/2.host:2,", "cur/3.host:2,"]);
    two.mail.run(["list", "--no-refresh", "--uids"]).ok().stdout("2\n3\n");
    two.mail.assert_sound();
}

/// All mail of both folders, by subject.
fn subjects(two: &Two) -> BTreeMap<String, usize> {
    let mut subjects = BTreeMap::new();
    for folder in [&two.mail.path(), &two.dest] {
        for name in files(folder) {
            let text = fs::read_to_string(folder.join(name)).expect("read");
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).expect("a subject").to_string();
            *subjects.entry(subject).or_insert(0) += 1;
        }
    }
    subjects
}

#[test]
fn to_and_fro_nothing_is_lost_and_nobody_waits_for_ever() {
    let two = Two::around(Mailbox::in_memory().messages(40));
    two.mail.run(["build"]).ok();
    two.run(&["build"], &two.dest).ok();
    let time = Duration::from_secs(if long() { 30 } else { 1 });
    let begun = Instant::now();
    let moves = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (two, moves) = (&two, &moves);
            scope.spawn(move || {
                let (from, to) =
                    if n % 2 == 0 { (two.mail.path(), two.dest.clone()) } else { (two.dest.clone(), two.mail.path()) };
                while begun.elapsed() < time {
                    let mut command = Command::new(maildex());
                    command.arg("move").arg(&from).arg(&to).args(["--query", "all"]).stderr(Stdio::piped());
                    let run = two.mail.finish(&mut command);
                    // Others may have taken a mail away under its hands.
                    assert!(matches!(run.code(), Some(0 | 4)), "{run}");
                    moves.fetch_add(run.text().lines().count(), std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    let expected: BTreeMap<_, _> = (1..=40).map(|n| (format!("mail {n}"), 1)).collect();
    assert_eq!(subjects(&two), expected);
    for folder in [&two.mail.path(), &two.dest] {
        two.run(&["build"], folder).ok();
        two.run(&["check"], folder).ok();
        let mails = files(folder).len();
        two.run(&["count"], folder).ok().stdout(format!("{mails}\n"));
    }
    figures(&format!(
        "move to and fro by 4 processes: {} moves in {:?}, none lost",
        moves.into_inner(),
        begun.elapsed()
    ));
}

#[test]
fn mbsync_accepts_both_folders_after_a_move() {
    if !installed("mbsync") {
        return skipped("mbsync after a move", "install isync");
    }
    let two = Two::around(Mailbox::new().messages(3));
    let base = two.mail.path().parent().expect("it has one").to_path_buf();
    let config = format!(
        "MaildirStore near\nPath {0}/near/\nInbox {0}/near/INBOX\n\nMaildirStore far\nPath {0}/far/\nInbox {0}/far/INBOX\n\n\
         Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\nSyncState *\n",
        base.display()
    );
    fs::write(base.join("rc"), config).expect("write");
    fs::create_dir_all(base.join("near")).expect("mkdir");
    fs::create_dir_all(base.join("far")).expect("mkdir");
    fs::rename(two.mail.path(), base.join("near/one")).expect("rename");
    fs::rename(&two.dest, base.join("near/two")).expect("rename");
    for folder in ["near/INBOX", "far/INBOX"] {
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(base.join(folder).join(sub)).expect("mkdir");
        }
    }
    let sync =
        || two.mail.finish(Command::new("mbsync").arg("-c").arg(base.join("rc")).arg("-a").env("HOME", &base)).ok();
    sync();
    let (one, two_) = (base.join("near/one"), base.join("near/two"));
    assert!(files(&one).iter().all(|name| name.contains(",U=")), "mbsync has given its numbers: {:?}", files(&one));
    two.run(&["build"], &one).ok();
    let mut command = Command::new(maildex());
    two.mail.finish(command.arg("move").arg(&one).arg(&two_).arg("2")).ok();
    assert!(files(&two_).iter().all(|name| !name.contains(",U=")), "{:?}", files(&two_));
    let run = sync();
    assert!(!run.errors().contains("UIDs") && !run.errors().contains("duplicate"), "{run}");
    sync();
    let count = |folder: &str| files(&base.join(folder)).len();
    assert_eq!([count("near/one"), count("far/one"), count("near/two"), count("far/two")], [2, 2, 1, 1]);
    two.run(&["build"], &one).ok();
    two.run(&["check"], &one).ok();
}

#[test]
fn notmuch_names_mail_in_many_folders_for_flag() {
    if !installed("notmuch") {
        return skipped("notmuch search | flag -r", "install notmuch");
    }
    let two = Two::new(3);
    two.relocate("move", &["2"]).ok();
    let base = two.mail.path().parent().expect("it has one").to_path_buf();
    let config = base.join("notmuch-config");
    let text = format!(
        "[database]\npath={}\n[user]\nname=a\nprimary_email=a@b\n[maildir]\nsynchronize_flags=false\n",
        base.display()
    );
    fs::write(&config, text).expect("write");
    let script = "notmuch new --quiet && notmuch search --output=files subject:mail | \"$0\" flag -r \"$1\" +S -";
    let mut sh = Command::new("sh");
    sh.args(["-c", script]).arg(maildex()).arg(&base).env("NOTMUCH_CONFIG", &config).env("HOME", &base);
    two.mail.finish(&mut sh).ok();
    two.mail.assert_files(["cur/1.host:2,S", "cur/3.host:2,S"]);
    assert_eq!(two.in_dest(), ["cur/2.host:2,S"]);
    two.mail.assert_sound();
}
