//! Runs a verb (`verbs.rs`) in trouble: calls that fail, too little of something, a file that is cut; and judges what
//! comes of it.
//!
//! The command says what is wrong and ends with a documented status, or it goes on by another way and all is done; what can
//! be listed is whole; the mail is as the verb may leave it; the command run once more, and `build`, put everything right.

use std::fmt;
use std::process::Command;

use crate::mailbox::{Run, figures, long};
use crate::oracle::Listed;
use crate::sweep::{Files, Left, Place, Sweep, command, files, has_not_shrunk, input, like_undisturbed};
use crate::tally::Tally;

/// A run, and what of it is not to be seen in its output.
pub struct Told {
    pub run: Run,
    pub trouble: String,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.trouble, self.run)
    }
}

/// What a verb may do in some trouble.
#[derive(Clone, Copy, Default)]
pub struct Excuse {
    /// It need not have begun: the loader, or a shell, may have been hit before it, or the run-time may have ended it.
    pub not_begun: bool,
    /// It must not be all well without a word.
    pub must_tell: bool,
    /// What is listed afterwards may be less: our files were harmed.
    pub harmed: bool,
}

/// What came of it.
#[derive(Default)]
pub struct Tries {
    pub tried: usize,
    pub told: usize,
    pub done: usize,
    failures: Vec<String>,
}

/// Another program before a command, which is ended if it hangs; that is no status that anybody expects.
pub fn under(place: &Place, arguments: &[&str], wrapper: &[&str]) -> Command {
    let bare = command(&place.mailbox, arguments);
    let mut wrapped = Command::new("timeout");
    wrapped.args(["-s", "KILL", "120"]).args(wrapper);
    wrapped.arg(bare.get_program()).args(bare.get_args());
    for (key, value) in bare.get_envs() {
        match value {
            Some(value) => wrapped.env(key, value),
            None => wrapped.env_remove(key),
        };
    }
    wrapped.current_dir(bare.get_current_dir().expect("it was set"));
    wrapped.stdin(input(&place.mailbox));
    wrapped
}

/// Whether other programs run, too, which fail in their own way.
pub fn is_script(sweep: &Sweep) -> bool {
    sweep.command[0] == "sh" || sweep.command.contains(&"--")
}

/// New mail in the order of its names: what could not be read at once gets its number later.
fn by_arrival(listed: &[Listed], last_before: u64) -> Vec<Listed> {
    let mut listed = listed.to_vec();
    listed.sort_by_key(|listed| match listed.uid {
        known if known <= last_before => (known, String::new()),
        _ => (u64::MAX, listed.mail.path.clone()),
    });
    listed
}

/// What is listed, wherever names are drawn by lot.
fn view(listed: &[Listed]) -> Vec<(&str, &str, &str)> {
    let dir = |listed: &'_ Listed| listed.mail.path.find('/').unwrap_or(0);
    let mut view: Vec<_> = listed
        .iter()
        .map(|listed| (&*listed.mail.message_id, &listed.mail.path[..dir(listed)], &*listed.mail.flags))
        .collect();
    view.sort_unstable();
    view
}

impl Tries {
    /// One try in a folder of its own. `run` gets the command into trouble.
    pub fn one(
        &mut self,
        sweep: &Sweep,
        expected: &(Vec<Listed>, String),
        excuse: Excuse,
        run: impl FnOnce(&Place) -> Told,
    ) {
        self.tried += 1;
        if let Err(why) = self.judge(sweep, expected, excuse, run) {
            self.failures.push(format!("{} {:?}: {why}", sweep.name, sweep.command));
        }
    }

    fn judge(
        &mut self,
        sweep: &Sweep,
        expected: &(Vec<Listed>, String),
        excuse: Excuse,
        run: impl FnOnce(&Place) -> Told,
    ) -> Result<(), String> {
        let mut place = (sweep.folder)();
        let before = files(&place.mailbox);
        let (code_before, shown_before) = place.show()?;
        let last_before = place.history.last();
        let told = run(&place);
        let with_run = |why: String| format!("{why}\n{told}");
        let is_told = told.run.errors().lines().any(|line| line.starts_with("maildex: ") && line.len() > 20);
        let has_failed = told.run.code() != Some(0);
        let is_deliver = sweep.command[0] == "deliver";
        match told.run.code() {
            Some(0) => self.done += 1,
            Some(75) if is_told => self.told += 1,
            Some(3 | 4) if is_told && !is_deliver => self.told += 1,
            // Before it has begun the kernel may end even what a mail server calls.
            None | Some(75 | 127) if excuse.not_begun => self.told += 1,
            Some(1..=99 | 126..=255) if excuse.not_begun && !is_deliver => self.told += 1,
            _ => return Err(with_run("not told, or no status that it may have".into())),
        }
        if excuse.must_tell && !has_failed && !is_told {
            return Err(with_run("it passed for success".into()));
        }
        let (code, shown) = place.show()?;
        match code {
            Some(75) if has_failed => {}
            Some(0 | 3 | 4) if excuse.harmed => {}
            _ if code == code_before || code == Some(0) => has_not_shrunk(&shown_before, &shown, &expected.0)?,
            _ => return Err(with_run(format!("list after it: exit {code:?}, before it {code_before:?}"))),
        }
        let judge = |now: &Files| (sweep.mail)(&before, now).map_err(with_run);
        judge(&files(&place.mailbox))?;
        if excuse.harmed {
            // What is left of the index decides what `build` can do; no UID may come to name another mail.
            let _ = place.mailbox.run(["build"]);
            place.show().map_err(with_run)?;
            return judge(&files(&place.mailbox));
        }
        let beside = (sweep.beside)(&place.mailbox).map_err(with_run)?;
        if !has_failed && sweep.left == Left::SomeOfIt && beside != expected.1 {
            return Err(with_run(format!("exit 0, and beside it: {beside}, expected {}", expected.1)));
        }
        if has_failed && sweep.left != Left::SomeOfIt {
            let again = place.run(sweep.command, 0).map(drop);
            let needs_build = |why: &String| why.contains("the index must be mended first");
            again.or_else(|why| if needs_build(&why) { Ok(()) } else { Err(with_run(format!("again: {why}"))) })?;
            (sweep.beside)(&place.mailbox).map_err(with_run)?;
        }
        let listed = place.put_right().map_err(with_run)?;
        judge(&files(&place.mailbox))?;
        match sweep.left {
            Left::SomeOfIt if has_failed || view(&listed) == view(&expected.0) => Ok(()),
            Left::SomeOfIt => Err(with_run(format!("exit 0, and listed: {listed:#?}"))),
            Left::Same | Left::SameWhenRunAgain => {
                let sorted = |listed| by_arrival(listed, last_before);
                like_undisturbed(&sorted(&listed), &sorted(&expected.0), last_before).map_err(with_run)
            }
        }
    }

    /// Prints the figures; fails if anything has.
    #[track_caller]
    pub fn end(&self, row: Tally, what: &str) {
        row.add(self.tried);
        let Tries { tried, told, done, failures } = self;
        let failed = failures.len();
        figures(&format!("{what}: {tried} tries, {told} told, {done} done all the same, {failed} failures"));
        assert!(failures.is_empty(), "{failed} failures, the first:\n{}", failures[0]);
    }
}

/// How many steps to go on, so that about so many of all are tried; all with `MAILDEX_LONG=1`.
pub fn step(all: usize, part: usize) -> usize {
    if long() { 1 } else { (all / part).max(1) | 1 }
}
