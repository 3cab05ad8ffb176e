//! `maildex watch`: what happens is told, once, at once, and whatever stands in the way.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::mailbox::{Mailbox, figures, forbidden, installed, mail, maildex, skipped};
use crate::sweep::{STRACE, strace_works, under_strace};
use crate::watching::{PATIENCE, Watching};

fn indexed(mails: usize) -> Mailbox {
    let mail = Mailbox::new().messages(mails);
    mail.run(["build"]).ok();
    mail
}

fn token(mail: &Mailbox) -> String {
    mail.run(["changes"]).ok().text().trim().to_string()
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let mail = indexed(2);
    let watch = Watching::from_now(&mail);
    mail.deliver("new/3.host", self::mail("mail 3"));
    watch.tells("added", 3, "new/3.host");
    mail.rename("new/3.host", "cur/3.host:2,S");
    watch.tells("moved", 3, "cur/3.host:2,S");
    mail.rename("cur/3.host:2,S", "cur/3.host:2,FS");
    watch.tells("flags", 3, "cur/3.host:2,FS");
    mail.remove("cur/3.host:2,FS");
    watch.tells("removed", 3, "");
    mail.run(["flag", "+F", "1"]).ok();
    watch.tells("flags", 1, "cur/1.host:2,F");
    watch.tells_nothing_more();
    assert_eq!(watch.errors(), "");
    mail.assert_sound();
}

#[test]
fn a_token_from_watch_goes_on_in_changes_and_the_other_way() {
    let mail = indexed(1);
    let before = token(&mail);
    mail.deliver("new/2.host", self::mail("before it watches"));
    let watch = Watching::start(&mail, &["--since", &before]);
    let record = watch.record();
    assert_eq!((&record["event"], &record["uid"]), (&"added".into(), &2.into()));
    let token = record["token"].as_str().expect("a token");
    mail.deliver("new/3.host", self::mail("mail 3"));
    watch.tells("added", 3, "new/3.host");
    assert_eq!(mail.run(["changes", "--since", token, "--json"]).ok().json()[0]["uid"], 3);
}

#[test]
fn columns_are_those_of_changes_and_the_folder() {
    let mail = indexed(1);
    let mut command = mail.command(["watch", "--since", "0", "--once"]);
    let watch = Watching::run(&mut command);
    let line = watch.line();
    let fields: Vec<&str> = line.split('\t').collect();
    let folder = mail.path().display().to_string();
    let path = format!("{folder}/cur/1.host:2,");
    assert_eq!((&fields[..6], fields[7]), (&["added", "1", "-", "cur", "-", &*path][..], &*folder));
    let token = fields[6];
    assert_eq!(mail.run(["changes", "--since", token]).ok().text().lines().count(), 1, "{token}");
}

#[test]
fn once_ends_when_something_has_happened() {
    let mail = indexed(1);
    let mut watch = Watching::start(&mail, &["--once", "--since", &token(&mail)]);
    mail.deliver("new/2.host", self::mail("mail 2"));
    watch.ends_with(0);
    assert_eq!(watch.rest().len(), 1);
    // With something to tell from the start it does not wait.
    let mut watch = Watching::start(&mail, &["--once", "--since", "0"]);
    watch.ends_with(0);
    assert_eq!(watch.rest().len(), 2);
}

#[test]
fn a_folder_without_an_index_gets_one_and_old_mail_is_no_news() {
    let mail = Mailbox::new().messages(2);
    let watch = Watching::start(&mail, &[]);
    let until = Instant::now() + PATIENCE;
    while mail.run(["count", "--no-refresh"]).code() != Some(0) {
        assert!(Instant::now() < until, "no index; stderr: {}", watch.errors());
        thread::sleep(Duration::from_millis(2));
    }
    // It may not yet have taken the token from which on it tells; this it does in any case.
    for n in 3.. {
        mail.deliver(format!("new/{n}.host"), self::mail("x"));
        assert!(n < 1000, "{}", watch.errors());
        thread::sleep(Duration::from_millis(5));
        if mail.run(["list", "--no-refresh", &n.to_string()]).text().lines().count() == 1 {
            break;
        }
    }
    let (event, uid, _) = watch.told();
    assert!(event == "added" && uid >= 3, "{event} {uid}");
    mail.assert_sound();
}

#[test]
fn a_command_runs_for_each_event_and_without_the_lock() {
    let mail = indexed(1);
    let out = mail.path().with_file_name("out");
    // It would wait for a lock that watch has, and fail.
    let command = format!(
        "{} flag \"$MAILDEX_FOLDER\" --wait 0 +F $MAILDEX_UID && echo heard && \
         echo $MAILDEX_EVENT $MAILDEX_UID $MAILDEX_DIR [$MAILDEX_FLAGS] [$MAILDEX_WAS_UID] ${{MAILDEX_PATH##*/}} $MAILDEX_TOKEN >> {}",
        maildex().display(),
        out.display()
    );
    let mut watch = Watching::start(&mail, &["--since", "0", "--once", "--exec", &command]);
    watch.ends_with(0);
    watch.says("heard");
    let record = watch.record();
    let expected = format!("added 1 cur [] [] 1.host:2, {}\n", record["token"].as_str().expect("a token"));
    assert_eq!(fs::read_to_string(&out).expect("it ran"), expected);
    mail.assert_files(["cur/1.host:2,F"]);
    // A command that fails is told, and the rest goes on.
    mail.deliver("new/2.host", self::mail("mail 2"));
    let mut watch = Watching::start(&mail, &["--since", "0", "--once", "--exec", "exit 7"]);
    watch.ends_with(4);
    assert_eq!(watch.rest().len(), 2);
    watch.says("exit 7: exit status: 7");
}

#[test]
fn a_token_that_says_nothing_is_exit_5_before_anything_is_told() {
    let (mail, other) = (indexed(1), indexed(1));
    for token in ["x".to_string(), token(&other)] {
        let mut watch = Watching::start(&mail, &["--since", &token]);
        watch.ends_with(5);
        assert!(watch.rest().is_empty());
        watch.says("hint: ");
    }
    // Each of several folders may have its own, in any order.
    let (first, second) = (token(&mail), token(&other));
    mail.deliver("new/2.host", self::mail("of the first"));
    other.deliver("new/2.host", self::mail("of the second"));
    let mut command = mail.command(["watch", "--json", "--since", &second, "--since", &first]);
    let watch = Watching::run(command.arg(other.path()));
    let mut subjects = [watch.record(), watch.record()].map(|record| record["subject"].clone());
    subjects.sort_by_key(ToString::to_string);
    assert_eq!(subjects, ["of the first", "of the second"]);
}

#[test]
fn signals_end_it_and_it_dies_of_them() {
    for signal in [Signal::INT, Signal::TERM] {
        let mail = indexed(1);
        let mut watch = Watching::start(&mail, &["--since", "0"]);
        watch.tells("added", 1, "cur/1.host:2,");
        watch.signal(signal);
        assert_eq!(watch.end().signal(), Some(signal.as_raw()));
        assert!(!mail.file("maildex.lock").exists());
        mail.run(["build"]).ok().silent();
        mail.assert_sound();
    }
}

/// It once left the lockfile behind if the signal came just after the lock was taken.
#[test]
fn a_signal_at_the_moment_it_takes_the_lock_leaves_none() {
    if !strace_works() {
        return skipped("a signal as the lock is taken", STRACE);
    }
    let mail = indexed(1);
    mail.deliver("new/2.host", self::mail("mail 2"));
    let traced = |inject| under_strace(&mail.command(["watch", "--json"]), "/dev/null".as_ref(), Some(inject));
    let mut watch = Watching::run(&mut traced("inject=linkat:signal=TERM:when=1"));
    assert_eq!(watch.end().signal(), Some(Signal::TERM.as_raw()));
    assert!(!mail.file("maildex.lock").exists());
    mail.run(["check"]).ok();
}

#[test]
fn a_reader_that_goes_away_ends_it_though_nothing_happens() {
    let mail = indexed(1);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = mail.command(["watch"]);
    let mut child = command.stdout(writer).spawn().expect("run it");
    drop(command); // which holds the other end of the pipe
    drop(reader);
    let until = Instant::now() + PATIENCE;
    while child.try_wait().expect("wait").is_none() {
        assert!(Instant::now() < until, "it does not end");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(child.wait().expect("wait").code(), Some(0));
    mail.assert_sound();
}

#[test]
fn many_folders_are_watched_at_once_and_those_that_come_too() {
    let mail = indexed(1);
    let make = |folder: &str| {
        for sub in ["tmp", "new", "cur"] {
            fs::create_dir_all(mail.file(folder).join(sub)).expect("make a folder");
        }
    };
    make(".Sent.2026");
    make("archive/2025");
    let watch = Watching::start(&mail, &["-r", "--since", &token(&mail)]);
    mail.deliver("new/2.host", self::mail("in the inbox"));
    watch.tells("added", 2, "new/2.host");
    for (folder, sub) in
        [(".Sent.2026", "cur"), ("archive/2025", "new"), (".Made.Later", "new"), ("archive/2026", "new")]
    {
        make(folder);
        mail.deliver(format!("{folder}/{sub}/1.host"), self::mail(folder));
        let record = watch.record();
        let expected = mail.file(folder).to_string_lossy().into_owned();
        assert_eq!(
            (&record["folder"], &record["event"], &record["uid"]),
            (&expected.into(), &"added".into(), &1.into())
        );
        mail.rename(format!("{folder}/{sub}/1.host"), format!("{folder}/cur/1.host:2,T"));
        assert_eq!(watch.record()["flags"], "T");
    }
    assert_eq!(watch.errors(), "");
}

/// Waits until a watcher has slept for a second without waking up.
#[track_caller]
fn falls_asleep(watches: &[&Watching]) {
    let until = Instant::now() + PATIENCE;
    let sleeps = || watches.iter().map(|watch| watch.sleeps()).collect::<Vec<_>>();
    let mut before = sleeps();
    loop {
        thread::sleep(Duration::from_secs(1));
        let now = sleeps();
        if now == before {
            return;
        }
        assert!(Instant::now() < until, "they wake each other: {before:?}, {now:?}");
        before = now;
    }
}

#[test]
fn watchers_do_not_wake_each_other() {
    let mail = indexed(3);
    let (one, other) = (Watching::from_now(&mail), Watching::from_now(&mail));
    mail.deliver("new/4.host", self::mail("mail 4"));
    for watch in [&one, &other] {
        watch.tells("added", 4, "new/4.host");
    }
    falls_asleep(&[&one, &other]);
    // What they have taken up readers need not.
    let listed = one.sleeps();
    for _ in 0..3 {
        mail.run(["list"]).ok();
    }
    mail.run(["flag", "+S", "1"]).ok();
    one.tells("flags", 1, "cur/1.host:2,S");
    other.tells("flags", 1, "cur/1.host:2,S");
    falls_asleep(&[&one, &other]);
    assert!(one.sleeps() > listed);
    one.tells_nothing_more();
    assert_eq!((one.errors(), other.errors()), (String::new(), String::new()));
}

#[test]
fn mail_that_cannot_be_settled_keeps_nobody_awake() {
    // Two files with one base name, and one without bytes: their directories never count as unchanged.
    let mail = indexed(1).message("new/1.host", mail("twin")).message("new/2.host", "");
    let watch = Watching::start(&mail, &["--since", "0"]);
    watch.tells("added", 1, "cur/1.host:2,");
    watch.tells("added", 2, "new/2.host");
    watch.says("not indexed: it has the base name of");
    falls_asleep(&[&watch]);
    fs::write(mail.file("new/2.host"), self::mail("filled")).expect("fill it");
    watch.tells("added", 2, "new/2.host");
    falls_asleep(&[&watch]);
    assert_eq!(watch.errors().lines().count(), 1, "said once: {}", watch.errors());
}

#[test]
fn flags_set_by_one_process_are_told_by_another_soon() {
    const ROUNDS: u32 = 20;
    let mail = indexed(100);
    let watch = Watching::from_now(&mail);
    mail.deliver("new/x.host", self::mail("x"));
    watch.tells("added", 101, "new/x.host"); // it is awake
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let (spec, path) = [("+F", "cur/7.host:2,F"), ("-F", "cur/7.host:2,")][round as usize % 2];
        let begun = Instant::now();
        mail.run(["flag", spec, "7"]).ok();
        watch.tells("flags", 7, path);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let slow = times.iter().filter(|time| **time > Duration::from_millis(100)).count();
    figures(&format!(
        "from the start of `flag` to the line of `watch`: median {:?}, worst {:?}, {slow} of {ROUNDS} over 100 ms",
        times[times.len() / 2],
        times[times.len() - 1]
    ));
}

#[test]
fn another_directory_under_its_name_burns_no_uid() {
    let mail = indexed(30);
    let watch = Watching::from_now(&mail);
    mail.deliver("new/31.host", self::mail("mail 31"));
    watch.tells("added", 31, "new/31.host");
    for _ in 0..2 {
        mail.rename("cur", "cur.x");
        fs::create_dir(mail.file("cur")).expect("make cur");
        watch.says("30 of 31 messages are gone at once");
        // The new one is watched, too.
        mail.rename("new/31.host", "cur/31.host:2,S");
        watch.until(|told| told.2 == "cur/31.host:2,S");
        mail.rename("cur/31.host:2,S", "new/31.host");
        watch.until(|told| told.2 == "new/31.host");
        fs::remove_dir(mail.file("cur")).expect("remove cur");
        mail.rename("cur.x", "cur");
        mail.rename("cur/1.host:2,", "cur/1.host:2,F");
        watch.until(|told| told.2 == "cur/1.host:2,F");
        mail.rename("cur/1.host:2,F", "cur/1.host:2,");
        watch.until(|told| told.2 == "cur/1.host:2,");
    }
    let uids: Vec<u64> = mail.listed().into_iter().map(|(uid, _)| uid).collect();
    assert_eq!(uids, (1..=31).collect::<Vec<_>>());
    mail.assert_sound();
}

#[test]
fn an_emptied_folder_is_believed() {
    let mail = indexed(30);
    let watch = Watching::from_now(&mail);
    for n in 1..=30 {
        mail.remove(format!("cur/{n}.host:2,"));
    }
    let mut gone: Vec<u64> = (0..30).map(|_| watch.told()).map(|(event, uid, _)| (event == "removed", uid).1).collect();
    gone.sort_unstable();
    assert_eq!(gone, (1..=30).collect::<Vec<_>>());
    assert_eq!(watch.errors(), "");
}

#[test]
fn a_folder_that_goes_away_is_waited_for() {
    let mail = indexed(3);
    let watch = Watching::from_now(&mail);
    mail.deliver("new/4.host", self::mail("mail 4"));
    watch.tells("added", 4, "new/4.host");
    let away = mail.path().with_file_name("away");
    fs::rename(mail.path(), &away).expect("move the folder");
    watch.says("cannot open: No such file or directory");
    fs::rename(&away, mail.path()).expect("put it back");
    mail.rename("new/4.host", "cur/4.host:2,S");
    watch.tells("moved", 4, "cur/4.host:2,S");
    assert_eq!(watch.errors().lines().count(), 1, "said once: {}", watch.errors());
}

#[test]
fn an_index_that_was_taken_away_is_not_made_again() {
    let mail = indexed(2);
    let mut watch = Watching::from_now(&mail);
    mail.deliver("new/3.host", self::mail("mail 3"));
    watch.tells("added", 3, "new/3.host");
    falls_asleep(&[&watch]);
    mail.remove("maildex.offsets");
    mail.remove("maildex.index.1");
    mail.deliver("new/4.host", self::mail("mail 4"));
    watch.says("no index");
    assert!(!mail.file("maildex.offsets").exists());
    mail.run(["build"]).ok(); // another one, with other UIDs
    watch.ends_with(5);
    watch.says("of another index");
}

#[test]
fn a_lost_file_of_the_index_is_healed_and_who_listens_must_list_again() {
    let mail = indexed(2);
    let mut watch = Watching::from_now(&mail);
    mail.deliver("new/3.host", self::mail("mail 3"));
    watch.tells("added", 3, "new/3.host");
    mail.remove("maildex.offsets");
    mail.deliver("new/4.host", self::mail("mail 4"));
    watch.ends_with(5);
    watch.says("too old");
    mail.run(["list", "--uids", "--no-refresh"]).ok().stdout("1\n2\n3\n4\n");
    mail.assert_sound();
}

#[test]
fn a_lost_event_costs_nothing() {
    let mail = Mailbox::in_memory().messages(3);
    mail.run(["build"]).ok();
    let watch = Watching::from_now(&mail);
    mail.rename("cur/1.host:2,", "cur/1.host:2,S");
    watch.tells("flags", 1, "cur/1.host:2,S");
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("a limit");
    let queue: usize = queue.trim().parse().expect("a number");
    watch.signal(Signal::STOP);
    for _ in 0..=queue / 2 {
        mail.rename("cur/2.host:2,", "cur/2.host:2,T");
        mail.rename("cur/2.host:2,T", "cur/2.host:2,");
    }
    mail.rename("cur/3.host:2,", "cur/3.host:2,F");
    watch.signal(Signal::CONT);
    watch.says("the kernel has dropped events");
    watch.says("fs.inotify.max_queued_events");
    watch.until(|told| told.2 == "cur/3.host:2,F");
    mail.assert_sound();
}

/// `maildex watch` as a user that may have so many inotify instances and watches. `None`, said loudly, where that cannot
/// be arranged.
fn poor(mail: &Mailbox, instances: u32, watches: u32) -> Option<Command> {
    let limit = format!(
        "echo {instances} > /proc/sys/user/max_inotify_instances && echo {watches} > /proc/sys/user/max_inotify_watches"
    );
    if !installed("unshare") {
        skipped("too few inotify instances", "install util-linux");
        return None;
    }
    let mut unshare = Command::new("unshare");
    let can = unshare.args(["-Ur", "sh", "-c", &limit]).output().is_ok_and(|output| output.status.success());
    if !can {
        forbidden("too few inotify instances", "allow user namespaces");
        return None;
    }
    let mut command = Command::new("unshare");
    let script = format!("{limit} && exec \"$@\"");
    command.args(["-Ur", "sh", "-c", &script, "sh"]).arg(maildex()).args(["watch", "--json", "--since", &token(mail)]);
    command.arg(mail.path());
    Some(command)
}

#[test]
fn without_inotify_it_polls_and_says_so_once() {
    let mail = indexed(1);
    for (instances, watches, sysctl) in
        [(0, 100, "fs.inotify.max_user_instances"), (10, 2, "fs.inotify.max_user_watches")]
    {
        let Some(mut command) = poor(&mail, instances, watches) else { return };
        let watch = Watching::run(&mut command);
        watch.says(sysctl);
        watch.says("looking every 2 s");
        for (from, to) in [("cur/1.host:2,", "cur/1.host:2,S"), ("cur/1.host:2,S", "cur/1.host:2,")] {
            mail.rename(from, to);
            watch.tells("flags", 1, to);
        }
        assert_eq!(watch.errors().lines().count(), 2, "a note and a hint: {}", watch.errors());
    }
}

/// A namespace for mounts, as long as it lives.
struct Mounts(std::process::Child);

impl Mounts {
    fn new() -> Option<Mounts> {
        use std::io::Read;
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", "echo ready; exec sleep 600"]).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().ok()?;
        let mut ready = [0; 6];
        child.stdout.as_mut().expect("piped").read_exact(&mut ready).ok()?;
        Some(Mounts(child))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.0.id().to_string(), "-m", program]);
        command
    }

    #[track_caller]
    fn run(&self, line: &str) {
        let status = self.command("sh").args(["-c", line]).status().expect("nsenter");
        assert!(status.success(), "{line}");
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_unmounted_folder_burns_no_uid_and_is_waited_for() {
    if !installed("unshare") || !installed("nsenter") {
        skipped("unmounting a folder under watch", "install util-linux");
        return;
    }
    let mail = indexed(30);
    let place = mail.path().with_file_name("mounted");
    fs::create_dir(&place).expect("make a mount point");
    let mounts = Mounts::new().filter(|mounts| {
        let bind = format!("mount --bind {} {}", mail.path().display(), place.display());
        mounts.command("sh").args(["-c", &bind]).output().is_ok_and(|output| output.status.success())
    });
    let Some(mounts) = mounts else {
        forbidden("unmounting a folder under watch", "run the tests as root, where mounting is allowed");
        return;
    };
    let mut command = mounts.command(maildex().to_str().expect("UTF-8"));
    let watch = Watching::run(command.args(["watch", "--json", "--since", &token(&mail)]).arg(&place));
    mail.rename("cur/1.host:2,", "cur/1.host:2,S");
    watch.tells("flags", 1, "cur/1.host:2,S");
    let (from, to) = (mail.path().display().to_string(), place.display().to_string());
    // Its directories are covered, one after the other, and the whole of it.
    mounts.run(&format!("mount -t tmpfs none {to}/cur"));
    watch.says("30 of 30 messages are gone at once");
    mounts.run(&format!("umount -l {to}/cur")); // the watcher may be looking into it
    mail.rename("cur/1.host:2,S", "cur/1.host:2,");
    watch.tells("flags", 1, "cur/1.host:2,");
    mounts.run(&format!("umount -l {to}"));
    watch.says("not a Maildir");
    mounts.run(&format!("mount --bind {from} {to}"));
    mail.deliver("new/31.host", self::mail("mail 31"));
    watch.tells("added", 31, "new/31.host");
    watch.tells_nothing_more();
    assert_eq!(mail.listed().len(), 31);
    mail.assert_sound();
}

#[test]
fn it_closes_for_a_compaction_and_goes_on() {
    let mail = indexed(30);
    let watches = [Watching::from_now(&mail), Watching::from_now(&mail)];
    mail.rename("cur/9.host:2,", "cur/9.host:2,S");
    for watch in &watches {
        watch.tells("flags", 9, "cur/9.host:2,S"); // now it has the index open
    }
    for round in 0..3 {
        let (gone, came) = (round + 1, 31 + round);
        mail.remove(format!("cur/{gone}.host:2,"));
        // It does not have to wait until it may use force, nor say who does not close.
        let run = mail.run(["compact", "--wait", "30"]).ok();
        assert!(!run.errors().contains("kept open"), "{run}");
        mail.deliver(format!("new/{came}.host"), self::mail("x"));
        for watch in &watches {
            let mut told = [watch.told(), watch.told()]; // in one refresh, or in two
            told.sort();
            let expected =
                [("added".into(), came, format!("new/{came}.host")), ("removed".into(), gone, String::new())];
            assert_eq!(told, expected);
        }
    }
    for watch in &watches {
        watch.tells_nothing_more();
        assert_eq!(watch.errors(), "");
    }
    falls_asleep(&[&watches[0], &watches[1]]);
    mail.assert_sound();
}
