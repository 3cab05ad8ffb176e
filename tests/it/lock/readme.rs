//! The examples of the README, as they are printed there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Running;
use crate::mailbox::{Mailbox, Run, mail, maildex};

/// The code blocks below a heading of the README: language and text.
fn blocks(heading: &str) -> Vec<(String, String)> {
    let readme = include_str!("../../../README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with(heading)).expect("the section");
    let mut blocks = Vec::new();
    for block in section.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').expect("a block has lines");
        blocks.push((language.to_string(), text.to_string()));
    }
    blocks
}

/// The one block that has this in it.
fn block(language: &str, has: &str) -> String {
    let found: Vec<_> = blocks("The lock").into_iter().filter(|(_, text)| text.contains(has)).collect();
    let [(kind, text)] = &found[..] else { panic!("{} blocks with {has:?}", found.len()) };
    assert_eq!(kind, language, "{text}");
    text.clone()
}

/// A home directory with a `Maildir`, and a shell that finds maildex.
struct Home {
    mailbox: Mailbox,
    home: PathBuf,
}

impl Home {
    fn new(mailbox: Mailbox) -> Home {
        let home = mailbox.path().parent().unwrap().join("home");
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::symlink(mailbox.path(), home.join("Maildir")).unwrap();
        Home { mailbox, home }
    }

    /// As cron runs a command: by sh, with hardly any environment.
    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        let path = std::env::join_paths([maildex().parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]);
        command.env_clear().env("HOME", &self.home).env("PATH", path.unwrap()).current_dir(&self.home);
        command.args(["-c", script]);
        command
    }

    fn run(&self, script: &str) -> Run {
        self.mailbox.finish(&mut self.command(script))
    }

    /// A line of a crontab: five fields say when.
    fn cron(&self, line: &str) -> Run {
        let line = line.trim_end();
        assert!(!line.contains(['\n', '%']), "one line, and in a crontab % is a newline");
        self.run(line.splitn(6, ' ').nth(5).expect("a command"))
    }
}

#[test]
fn a_cron_job_backs_the_index_up() {
    let home = Home::new(Mailbox::new().messages(3));
    fs::create_dir(home.home.join("backup")).unwrap();
    home.cron(&block("crontab", "back-up")).ok().silent();
    home.mailbox.remove("maildex.offsets");
    home.mailbox.remove("maildex.index.1");
    for name in ["maildex.offsets", "maildex.index.1"] {
        fs::copy(home.home.join("backup").join(name), home.mailbox.file(name)).unwrap();
    }
    home.mailbox.run(["count"]).ok().stdout("3\n");
    home.mailbox.assert_sound();
}

#[test]
fn a_script_has_the_lock_until_it_ends() {
    let home = Home::new(Mailbox::new().messages(3));
    let script = block("sh", "take_lock");
    home.run(&script).ok().silent();
    home.mailbox.run(["count", "unseen"]).ok().stdout("0\n");
    assert!(!home.mailbox.file("maildex.lock").exists());
    // While it runs nobody else gets the lock.
    let script = format!("{script}\necho ready; read line");
    let mut running = Running::start(&mut home.command(&script));
    while running.line() != "ready" {
        assert!(running.child.try_wait().unwrap().is_none(), "{}", running.rest());
    }
    home.mailbox.run(["build", "--wait", "0"]).fails_with(75).stderr_has("by its guard");
    assert!(running.child.try_wait().unwrap().is_none());
    running.end();
    home.mailbox.run(["build", "--wait", "0"]).ok();
    home.mailbox.assert_sound();
}

#[test]
fn two_scripts_take_turns() {
    let home = Home::new(Mailbox::new().messages(6));
    home.mailbox.run(["build"]).ok();
    // The first one waits after its first piece of work until the second one asks.
    let long = block("sh", "lock wanted");
    assert!(long.contains("    if maildex lock wanted"), "{long}");
    let once =
        "    test \"$uid\" = 1 && until maildex lock wanted ~/Maildir; do sleep 0.01; done\n    if maildex lock wanted";
    let long = long.replace("    if maildex lock wanted", once);
    let mut first = Running::start(&mut home.command(&long));
    assert!(first.line().starts_with("1\t"));
    let run = home.run(&block("sh", "--wait 5m ~/Maildir -- maildex flag")).ok();
    assert!(run.text().ends_with("/cur/1.host:2,FS\n"), "{run}");
    home.mailbox.assert_sound();
    let rest = first.rest();
    assert!(first.end().success(), "{rest}");
    home.mailbox.run(["count", "unseen"]).ok().stdout("0\n");
    home.mailbox.run(["count", "flagged"]).ok().stdout("1\n");
    assert!(!home.mailbox.file("maildex.lock").exists());
    home.mailbox.assert_sound();
}

#[test]
fn old_mail_is_compressed_beside_dovecot() {
    let mails = ["cur/1.host,S=9:2,S", "cur/2.host,S=9:2,S", "cur/3.host,S=9:2,", "cur/4.host:2,S"];
    let home = Home::new(mails.iter().fold(Mailbox::new(), |mailbox, name| mailbox.message(name, mail(name))));
    for name in &mails {
        let past = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * 40);
        let file = fs::File::options().write(true).open(home.mailbox.file(name)).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(past)).unwrap();
    }
    home.mailbox.remove("cur/2.host,S=9:2,S");
    home.mailbox.deliver("cur/2.host,S=9:2,S", mail("young"));
    fs::create_dir(home.home.join("bin")).unwrap();
    let script = format!("cat ~/Maildir/dovecot-uidlist.lock\n{}", block("sh", "gzip"));
    fs::write(home.home.join("bin/compress-mail"), script).unwrap();
    let run = home.cron(&block("crontab", "compress-mail")).ok();
    let host = rustix::system::uname().nodename().to_str().unwrap().to_string();
    assert!(run.text().ends_with(&format!(":{host}")), "Dovecot stands off meanwhile: {run}");
    let after = ["cur/1.host,S=9:2,SZ", "cur/2.host,S=9:2,S", "cur/3.host,S=9:2,", "cur/4.host:2,S"];
    home.mailbox.assert_files(after);
    let unpacked = home.run("gzip -dc < 'Maildir/cur/1.host,S=9:2,SZ'").ok().text();
    assert_eq!(unpacked, mail(mails[0]));
    assert!(
        home.mailbox.file("cur/1.host,S=9:2,SZ").metadata().unwrap().modified().unwrap().elapsed().unwrap().as_secs()
            > 86400
    );
    for name in ["maildex.lock", "dovecot-uidlist.lock"] {
        assert!(!home.mailbox.file(name).exists(), "{name}");
    }
}
