//! Who may read and write what: umasks, users, mounts that may only be read, and the rights of somebody else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::faults::traced;
use crate::mailbox::{Mailbox, figures, forbidden, installed, mail, maildex, skipped};
use crate::sweep::{STRACE, strace_works};
use crate::trouble::is_script;
use crate::verbs::ALL;

/// Somebody who is not root.
const NOBODY: u32 = 65534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

#[test]
fn whatever_the_umask_our_files_grant_no_more_than_cur() {
    let mut files = 0;
    for umask in ["000", "002", "022", "027", "077", "777"] {
        for granted in [0o700, 0o710, 0o740, 0o750, 0o755, 0o770, 0o777] {
            let mailbox = Mailbox::in_memory().messages(2);
            set_mode(&mailbox.file("cur"), granted);
            let script = format!(
                "umask {umask}; \"$1\" build \"$2\" && \"$1\" flag \"$2\" +F 1 && \"$1\" compact \"$2\" && \"$1\" lock run \"$2\" -- true"
            );
            let mut sh = Command::new("sh");
            mailbox.finish(sh.args(["-c", &script, "sh"]).arg(maildex()).arg(mailbox.path())).ok();
            for name in mailbox.own_files().into_keys() {
                let mode = fs::metadata(mailbox.file(&name)).expect("stat").mode() & 0o7777;
                assert_eq!(mode, 0o600 | granted & 0o060, "umask {umask}, cur {granted:o}: {name} is {mode:o}");
                files += 1;
            }
        }
    }
    figures(&format!("modes: {files} files of ours, none more readable than cur/"));
}

/// So that nobody can plant a name and have us write into another file.
#[test]
fn whatever_is_opened_for_writing_is_no_link() {
    if !strace_works() {
        return skipped("how files are opened", STRACE);
    }
    let mut opened = 0;
    for (name, sweep) in ALL.iter().filter(|(_, sweep)| !is_script(sweep)) {
        let place = (sweep.folder)();
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        place.mailbox.finish(&mut traced(&place, sweep, log.path(), &["trace=open,openat,?creat"])).ok();
        let log = fs::read_to_string(log.path()).expect("read the log of strace");
        for line in log.lines().filter(|line| line.contains("O_WRONLY") || line.contains("O_RDWR")) {
            let is_safe = ["O_NOFOLLOW", "O_TMPFILE", "\"/dev/null\""].iter().any(|what| line.contains(what));
            // What is made anew, and the one file that the user names, which may be a link of his own.
            let is_named = ["\"list\"", "\"state\"", "O_EXCL"].iter().any(|what| line.contains(what));
            assert!(is_safe || is_named, "{name}: {line}");
            opened += 1;
        }
    }
    figures(&format!("opened for writing: {opened} files, none through a link"));
    assert!(opened > 50);
}

/// Runs a verb as nobody.
fn as_nobody(mailbox: &Mailbox, program: &Path, words: &[&str]) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        forbidden("another user's folder", "run as root");
        return None;
    }
    if !installed("setpriv") {
        skipped("another user's folder", "install util-linux");
        return None;
    }
    set_mode(mailbox.path().parent().expect("it has one"), 0o755);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command.arg(words[0]).arg(mailbox.path()).args(&words[1..]);
    Some(command)
}

/// The programs of a test may be where nobody else can read.
fn for_all(place: &Path) -> std::path::PathBuf {
    let copy = place.join("maildex");
    // By a program of its own: a process that another test begins meanwhile would have our copy open, and busy.
    assert!(Command::new("cp").arg(maildex()).arg(&copy).status().expect("cp runs").success());
    set_mode(&copy, 0o755);
    copy
}

#[test]
fn a_folder_of_another_user_is_refused_or_listed_from_elsewhere() {
    let mailbox = Mailbox::new().messages(3);
    mailbox.run(["build"]).ok();
    let home = tempfile::tempdir().expect("a directory");
    set_mode(home.path(), 0o777);
    let program = for_all(home.path());
    let Some(mut command) = as_nobody(&mailbox, &program, &["list"]) else { return };
    for name in ["cur", "new", ""] {
        set_mode(&mailbox.file(name), 0o755);
    }
    let before = mailbox.own_files();
    mailbox.finish(&mut command).fails_with(3).stderr_has("Permission denied").stdout("");
    for words in [&["build"][..], &["flag", "+F", "1"], &["compact"], &["expunge", "1"], &["lock", "break"]] {
        let words = if words[0] == "lock" { &["check"][..] } else { words };
        let run = mailbox.finish(&mut as_nobody(&mailbox, &program, words).expect("as before")).fails_with(3);
        run.stderr_shows("Permission denied");
    }
    assert!(mailbox.own_files() == before);
    let elsewhere = home.path().join("indexes");
    let elsewhere = elsewhere.to_str().expect("UTF-8");
    for (words, lines) in [(["build", "--index-dir", elsewhere], 0), (["list", "--index-dir", elsewhere], 3)] {
        let run = mailbox.finish(&mut as_nobody(&mailbox, &program, &words).expect("as before")).ok();
        assert_eq!(run.text().lines().count(), lines, "{run}");
    }
    mailbox.assert_sound();
}

#[test]
fn what_root_makes_in_a_users_folder_is_the_users() {
    let mailbox = Mailbox::new().messages(3);
    if !rustix::process::geteuid().is_root() {
        return forbidden("root in a user's folder", "run as root");
    }
    for path in ["cur", "new", "tmp", ""].map(|name| mailbox.file(name)) {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    mailbox.run(["build"]).ok();
    mailbox.run(["flag", "+F", "1"]).ok();
    mailbox.run(["compact"]).ok();
    for name in mailbox.own_files().into_keys() {
        let meta = fs::metadata(mailbox.file(&name)).expect("stat");
        assert_eq!((meta.uid(), meta.gid()), (NOBODY, NOBODY), "{name}");
    }
}

/// It believed the environment and the arguments of whoever called it, with the rights of somebody else.
#[test]
fn with_the_rights_of_somebody_else_it_does_nothing() {
    let mailbox = Mailbox::new().messages(1);
    mailbox.run(["build"]).ok();
    let home = tempfile::tempdir().expect("a directory");
    set_mode(home.path(), 0o755);
    let program = for_all(home.path());
    let Some(mut command) = as_nobody(&mailbox, &program, &["list"]) else { return };
    for mode in [0o4755, 0o2755] {
        set_mode(&program, mode);
        let run = mailbox.finish(&mut command);
        if run.errors().contains("Permission denied") {
            return forbidden("set-user-ID", "let TMPDIR be on a file system without nosuid");
        }
        run.fails_with(3).stdout("").stderr_has("has the rights of another user than the one who called it");
    }
}

/// A mount that may only be read.
struct ReadOnly(std::path::PathBuf);

impl ReadOnly {
    fn mount(place: &Path) -> Option<ReadOnly> {
        let mount = |options: &[&str]| {
            let run = Command::new("mount").args(options).arg(place).arg(place).output();
            run.is_ok_and(|run| run.status.success())
        };
        if !mount(&["--bind"]) {
            return None;
        }
        let mounted = ReadOnly(place.to_path_buf());
        mount(&["-o", "remount,bind,ro"]).then_some(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_mount_that_may_only_be_read_is_read() {
    let mailbox = Mailbox::new().messages(3);
    mailbox.run(["build"]).ok();
    mailbox.deliver("new/4.host", mail("mail 4"));
    let Some(_mounted) = ReadOnly::mount(&mailbox.path()) else {
        return forbidden("a mount that may only be read", "allow mount: run as root, with CAP_SYS_ADMIN");
    };
    let run = mailbox.run(["list"]).ok();
    assert_eq!(run.text().lines().count(), 3, "as of the last refresh: {run}");
    run.stderr_shows("Read-only file system");
    mailbox.run(["check"]).ok();
    mailbox.run(["cat", "1"]).ok().stdout(mail("mail 1"));
    for words in [&["build"][..], &["flag", "+F", "1"], &["compact"], &["expunge", "1"], &["repair"]] {
        let run = mailbox.run(words);
        assert!(matches!(run.code(), Some(3 | 4)), "{run}");
        run.stderr_shows("Read-only file system");
    }
    let home = tempfile::tempdir().expect("a directory");
    let elsewhere = home.path().to_str().expect("UTF-8");
    mailbox.run(["build", "--index-dir", elsewhere]).ok();
    assert_eq!(mailbox.run(["list", "--index-dir", elsewhere]).ok().text().lines().count(), 4);
}
