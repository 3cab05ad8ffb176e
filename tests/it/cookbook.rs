//! The recipes of maildex-cookbook(7): what is run is the text of the page.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::dovecot::Dovecot;
use crate::mailbox::{Mailbox, Run, installed, mail, maildex, skipped};
use crate::watching::{PATIENCE, Watching};

const PAGE: &str = include_str!("../../man/maildex-cookbook.7");

/// The commands of a recipe as the page has them: several pieces where there is text in between.
pub fn recipe(title: &str) -> Vec<String> {
    let sections = PAGE.split("\n.SH ").flat_map(|section| section.split("\n.SS "));
    let mut found = sections.filter_map(|section| section.strip_prefix(title)?.strip_prefix('\n'));
    let section = found.next().unwrap_or_else(|| panic!("no recipe {title:?}"));
    let pieces = section.split("\n.EX\n").skip(1).map(|rest| rest.split("\n.EE\n").next().expect("a piece"));
    pieces.map(|piece| piece.lines().map(as_typed).collect::<Vec<_>>().join("\n")).collect()
}

/// The one piece of a recipe.
pub fn command(title: &str) -> String {
    let pieces = recipe(title);
    let [piece] = &pieces[..] else { panic!("{} pieces: {title}", pieces.len()) };
    piece.clone()
}

/// A line of the page, as who reads it would type it.
fn as_typed(line: &str) -> String {
    let line = line.strip_prefix("\\&").unwrap_or(line);
    let escapes = [("\\(ti", "~"), ("\\(aq", "'"), ("\\(ga", "`"), ("\\(ha", "^"), ("\\-", "-"), ("\\e", "\\")];
    escapes.iter().fold(line.to_string(), |line, (escape, c)| line.replace(escape, c))
}

/// A home directory with a `Maildir`, and a shell that finds maildex.
pub struct Home {
    pub mailbox: Mailbox,
    pub home: PathBuf,
}

impl Home {
    pub fn new(mailbox: Mailbox) -> Home {
        let home = mailbox.path().parent().expect("it has one").join("home");
        fs::create_dir_all(home.join("bin")).expect("make a home");
        std::os::unix::fs::symlink(mailbox.path(), home.join("Maildir")).expect("symlink");
        Home { mailbox, home }
    }

    /// As cron runs a command: by sh, with hardly any environment.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        let bin = self.home.join("bin");
        let path =
            std::env::join_paths([&bin, maildex().parent().expect("it has one"), "/usr/bin".as_ref(), "/bin".as_ref()]);
        command.env_clear().env("HOME", &self.home).env("PATH", path.expect("no colon in it")).current_dir(&self.home);
        command.args(["-c", script]);
        command
    }

    pub fn run(&self, script: &str) -> Run {
        self.mailbox.finish(&mut self.command(script))
    }

    /// A program of its own.
    pub fn program(&self, name: &str, script: &str) {
        let file = self.home.join("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("write");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    /// A folder beside the inbox, with mails that came so many days ago: `cur/1.host:2,S`.
    fn folder(&self, name: &str, mails: &[(&str, &str, u64)]) {
        let folder = self.mailbox.file(name);
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(folder.join(sub)).expect("mkdir");
        }
        for (name, subject, days) in mails {
            fs::write(folder.join(name), mail(subject)).expect("write");
            came(&folder.join(name), SystemTime::now() - Duration::from_hours(24 * days));
        }
        self.run("maildex build ~/Maildir -q -r").ok();
    }

    /// Names of the mails in a directory, seen from the home.
    fn mails(&self, directory: &str) -> Vec<String> {
        let names =
            fs::read_dir(self.home.join(directory)).expect("list it").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }
}

fn came(file: &Path, time: SystemTime) {
    let file = fs::File::options().write(true).open(file).expect("open");
    file.set_times(fs::FileTimes::new().set_modified(time)).expect("set the time");
}

/// Each recipe of the page has a test, here or beside those of the lock.
#[test]
fn every_recipe_is_tried() {
    let titles: BTreeSet<&str> = PAGE.lines().filter_map(|line| line.strip_prefix(".SS ")).collect();
    assert!(titles.len() >= 12, "{titles:?}");
    let tests = [include_str!("cookbook.rs"), include_str!("lock/recipes.rs")].concat();
    for title in titles {
        assert!(tests.contains(&format!("(\"{title}\")")), "no test has {title:?}");
    }
}

/// The blocks of code below a heading of the README.
fn readme(heading: &str) -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with(heading)).expect("a section");
    section.split("\n```").skip(1).step_by(2).filter_map(|block| Some(block.split_once('\n')?.1)).collect()
}

#[test]
fn the_first_steps_of_the_readme_work() {
    let home = Home::new(Mailbox::new().messages(3));
    let [steps, install] = &readme("On your own mail")[..] else { panic!("two blocks") };
    let (cargo, steps) = steps.split_once('\n').expect("more than one command");
    assert_eq!(cargo, "cargo install --locked --path .");
    home.run(&format!("set -e; {steps}")).ok().silent().stdout_has("mail 3");
    home.mailbox
        .finish(home.command(&format!("set -e; {install}")).current_dir(env!("CARGO_MANIFEST_DIR")))
        .ok()
        .silent();
    for file in ["man/man1/maildex-build.1", "man/man7/maildex-cookbook.7", "bash-completion/completions/maildex"] {
        assert!(home.home.join(".local/share").join(file).is_file(), "{file}");
    }
}

#[test]
fn the_readme_has_recipes_as_the_page_has_them() {
    let [block] = readme("Cookbook")[..] else { panic!("one block") };
    let all: Vec<String> = PAGE.lines().map(as_typed).collect();
    let commands: Vec<&str> = block.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
    assert!(commands.len() >= 10, "{commands:?}");
    for command in commands {
        assert!(all.iter().any(|line| line == command), "not on the page: {command}");
    }
}

#[test]
fn old_mail_expires() {
    let home = Home::new(Mailbox::new());
    let mails = [("cur/1.host:2,S", "old", 91), ("cur/2.host:2,FS", "flagged", 91), ("cur/3.host:2,S", "young", 80)];
    home.folder(".Lists", &mails);
    home.run(&command("Expire by age")).ok().silent().stdout_has("cur/1.host:2,S");
    assert_eq!(home.mails("Maildir/.Lists/cur"), ["2.host:2,FS", "3.host:2,S"]);
}

#[test]
fn last_year_goes_to_an_archive() {
    let home = Home::new(Mailbox::new().messages(4).message("cur/5.host:2,", mail("unread")));
    home.program("date", "test \"$1\" = +%Y && echo 2026");
    // Around the two ends of 2025, with a day to spare for any time zone.
    for (n, seconds) in
        [(1, 1_735_600_000), (2, 1_735_776_000), (3, 1_767_000_000), (4, 1_767_400_000), (5, 1_750_000_000)]
    {
        let name = format!("cur/{n}.host:2,");
        came(&home.mailbox.file(&name), SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        if n != 5 {
            home.mailbox.rename(&name, format!("cur/{n}.host:2,S"));
        }
    }
    home.mailbox.run(["build"]).ok();
    home.run(&command("Archive by year")).ok();
    assert_eq!(home.mails("Maildir/.Archive.2025/cur"), ["2.host:2,S", "3.host:2,S"]);
    home.mailbox.assert_files(["cur/1.host:2,S", "cur/4.host:2,S", "cur/5.host:2,"]);
    home.mailbox.assert_sound();
}

#[test]
fn new_mail_is_notified() {
    let home = Home::new(Mailbox::new().messages(1));
    home.program("notify-send", "printf '%s|%s\\n' \"$1\" \"$2\" >> ~/notified");
    home.mailbox.run(["build"]).ok();
    let watch = Watching::run(&mut home.command(&format!("exec {}", command("Notify on new mail"))));
    // What comes before it watches is not told; so there is more until something is.
    let (begun, notified) = (Instant::now(), home.home.join("notified"));
    for n in 1.. {
        home.mailbox.deliver(format!("new/{n}.new"), mail(&format!("news {n}")));
        std::thread::sleep(Duration::from_millis(50));
        if notified.exists() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "stderr: {}", watch.errors());
    }
    let told = loop {
        let text = fs::read_to_string(&notified).expect("read");
        if let Some((line, _)) = text.split_once('\n') {
            break line.to_string();
        }
        assert!(begun.elapsed() < PATIENCE, "{text:?}");
    };
    assert!(told.starts_with("New mail|Ann <ann@example.org>: news "), "{told}");
    assert_eq!(watch.errors(), "");
}

#[test]
fn spam_is_learnt() {
    if !installed("bogofilter") {
        return skipped("learning spam", "install bogofilter");
    }
    let home = Home::new(Mailbox::new().messages(2));
    home.folder(".Junk", &[("cur/8.host:2,S", "pills", 1), ("new/9.host", "watches", 1)]);
    let learnt = |count: usize| {
        home.run(&command("Learn spam by moved mails")).ok().silent();
        let run = home.run("bogoutil -w ~/.bogofilter .MSG_COUNT").ok();
        let row = run.text().lines().last().expect("a row").split_whitespace().map(String::from).collect::<Vec<_>>();
        assert_eq!(row, [".MSG_COUNT", &count.to_string(), "0"]);
    };
    learnt(2);
    home.run("maildex move ~/Maildir ~/Maildir/.Junk 1").ok();
    learnt(3);
    learnt(3);
}

#[test]
fn what_is_picked_is_opened() {
    if !(installed("fzf") && installed("less")) {
        return skipped("picking with fzf", "install fzf less");
    }
    let home = Home::new(Mailbox::new().messages(5).message("cur/6.host:2,", mail("an unusual one")));
    home.mailbox.run(["build"]).ok();
    // In the place of the one who picks.
    let picks = "export FZF_DEFAULT_OPTS=--filter=unusual; ";
    home.run(&format!("{picks}{}", command("Pick with fzf and open"))).ok().silent().stdout(mail("an unusual one"));
}

#[test]
fn uids_go_from_courier_to_dovecot() {
    let mailbox = Mailbox::new().messages(3);
    fs::write(mailbox.file("courierimapuiddb"), "1 700000000 90\n7 2.host\n15 1.host\n88 3.host\n").expect("write");
    let home = Home::new(mailbox);
    home.run(&command("Migrate Courier UIDs to Dovecot")).ok();
    home.mailbox.assert_listed(&[(7, "cur/2.host:2,"), (15, "cur/1.host:2,"), (88, "cur/3.host:2,")]);
    let Some(dovecot) = Dovecot::new(&home.mailbox, "UIDs from Courier to Dovecot") else { return };
    let ask = |arguments: &[&str]| home.mailbox.finish(&mut dovecot.doveadm(arguments)).ok().text();
    let fetched = ask(&["-f", "tab", "fetch", "uid hdr.subject", "mailbox", "INBOX", "all"]);
    assert_eq!(fetched, "uid\thdr.subject\n7\tmail 2\n15\tmail 1\n88\tmail 3\n");
    let status = ask(&["-f", "tab", "mailbox", "status", "uidvalidity uidnext", "INBOX"]);
    assert!(status.ends_with("INBOX\t90\t700000000\n"), "{status}");
}

#[test]
fn what_was_imported_twice_goes() {
    let home = Home::new(Mailbox::new().messages(3));
    home.folder(
        ".Import",
        &[("cur/a.host:2,S", "mail 1", 1), ("cur/b.host:2,S", "mail 3", 1), ("cur/c.host:2,S", "other", 1)],
    );
    // As a list has changed it.
    let text = fs::read_to_string(home.home.join("Maildir/.Import/cur/b.host:2,S")).expect("read");
    fs::write(home.home.join("Maildir/.Import/cur/b.host:2,S"), text + "-- \nthe list\n").expect("write");
    home.run("maildex build ~/Maildir/.Import --full").ok();
    home.run(&command("Dedupe after an import")).ok();
    assert_eq!(home.mails("Maildir/.Import/cur"), ["c.host:2,S"]);
    assert_eq!(home.mails("Doubles/cur"), ["a.host:2,S", "b.host:2,S"]);
    home.mailbox.assert_files(["cur/1.host:2,S", "cur/2.host:2,", "cur/3.host:2,S"]);
}

#[test]
fn uids_are_backed_up_and_come_back() {
    let home = Home::new(Mailbox::new().messages(3));
    home.mailbox.run(["build"]).ok();
    home.mailbox.run(["expunge", "2"]).ok();
    let pieces = recipe("Back up UIDs");
    let [backup, back] = &pieces[..] else { panic!("{pieces:?}") };
    home.run(backup).ok().silent().stdout("");
    home.mailbox.deliver("new/4.host", mail("since then"));
    home.run(back).ok();
    home.mailbox.assert_listed(&[(1, "cur/1.host:2,"), (3, "cur/3.host:2,"), (100_004, "new/4.host")]);
    home.mailbox.assert_sound();
}

#[test]
fn what_broke_is_found() {
    let home = Home::new(Mailbox::new().messages(3));
    home.folder(".Lists", &[("cur/1.host:2,", "x", 1)]);
    home.folder(".Sent", &[("cur/1.host:2,", "x", 1)]);
    let commands = command("Find what broke");
    let (which, what) = commands.split_once('\n').expect("two commands");
    home.run(which).ok().stdout("");
    home.run(what).ok().stdout_has("no damage");
    for folder in ["", ".Sent/"] {
        home.mailbox.edit(&format!("{folder}maildex.offsets"), |bytes| bytes[4096] ^= 1);
    }
    let names = home.run(which).ok().text();
    let names: Vec<_> =
        names.lines().map(|line| line.strip_prefix(home.home.to_str().expect("UTF-8")).expect("in it")).collect();
    assert_eq!(names, ["/Maildir", "/Maildir/.Sent"]);
    home.run(what).ok().stdout_has("maildex.offsets").stdout_has("would make");
    home.run(which).ok().stdout_has("/Maildir\n");
}
