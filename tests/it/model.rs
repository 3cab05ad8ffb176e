//! maildex against a plain model of a folder: whatever verbs and other programs do in any order, whatever is lost between
//! two builds, and wherever a verb is killed, the folder has what the model has, the index has what the folder has, and a
//! UID never comes to mean another mail.
//!
//! proptest makes the orders, always the same ones, and shortens one that fails. `MAILDEX_LONG=1` tries many more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Write as _;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::mailbox::{Mailbox, figures, long, mail};
use crate::tally::Tally;

/// What is done. A number says which mail: there are never so many.
#[derive(Debug, Clone)]
enum Action {
    /// Other programs.
    Arrives(&'static str),
    IsRenamed(usize, &'static str),
    /// As sync programs rename, behind a comma.
    IsTagged(usize, &'static str),
    IsRemoved(usize),
    /// Other contents under the same name.
    IsOverwritten(usize),
    /// A copy from a back-up, with the same time.
    IsCopied(usize),
    GoesAway(usize),
    ComesBack,
    /// maildex, and perhaps a kill before one of its stores.
    Runs(Verb, Option<u64>),
    /// One of the two files is lost, and a build.
    IsLost(bool),
    /// The stamps count from now on: what was not listed is believed.
    Settles,
}

#[derive(Debug, Clone)]
enum Verb {
    Build,
    Full,
    Flag(usize, &'static str, char),
    Deliver,
    Inc,
    Expunge(usize),
    Replace(usize),
    Compact,
    Repair,
}

fn action() -> impl Strategy<Value = Action> {
    let which = || 0..1000_usize;
    let flags = || prop::sample::select(vec!["", "S", "F", "FS", "SF", "ST", "Sa", "S,x"]);
    let verb = prop_oneof![
        3 => Just(Verb::Build),
        1 => Just(Verb::Full),
        3 => (which(), prop::sample::select(vec!["+", "-"]), prop::sample::select(vec!['S', 'F', 'T', 'a']))
            .prop_map(|(which, sign, letter)| Verb::Flag(which, sign, letter)),
        2 => Just(Verb::Deliver),
        1 => Just(Verb::Inc),
        2 => which().prop_map(Verb::Expunge),
        2 => which().prop_map(Verb::Replace),
        1 => Just(Verb::Compact),
        1 => Just(Verb::Repair),
    ];
    let kill = prop_oneof![1 => Just(None), 1 => (1..16_u64).prop_map(Some)];
    prop_oneof![
        6 => flags().prop_map(Action::Arrives),
        4 => (which(), flags()).prop_map(|(which, flags)| Action::IsRenamed(which, flags)),
        2 => (which(), flags()).prop_map(|(which, flags)| Action::IsTagged(which, flags)),
        2 => which().prop_map(Action::IsRemoved),
        2 => which().prop_map(Action::IsOverwritten),
        1 => which().prop_map(Action::IsCopied),
        1 => which().prop_map(Action::GoesAway),
        1 => Just(Action::ComesBack),
        14 => (verb, kill).prop_map(|(verb, kill)| Action::Runs(verb, kill)),
        1 => any::<bool>().prop_map(Action::IsLost),
        2 => Just(Action::Settles),
    ]
}

/// What must be true.
struct Model {
    mailbox: Mailbox,
    next: usize,
    /// The mail there is: subject by name.
    mails: BTreeMap<String, String>,
    away: Vec<(String, String, String)>,
    /// Subject of each UID that was ever listed.
    seen: HashMap<u64, String>,
    /// UIDs that were listed once and were not there at a later look.
    dead: BTreeSet<u64>,
    largest: u64,
    kills: usize,
}

fn base(name: &str) -> &str {
    name.split(':').next().expect("a first part").rsplit('/').next().expect("a last part")
}

impl Model {
    fn new() -> Model {
        let mailbox = Mailbox::in_memory();
        mailbox.run(["build"]).ok();
        Model {
            mailbox,
            next: 0,
            mails: BTreeMap::new(),
            away: Vec::new(),
            seen: HashMap::new(),
            dead: BTreeSet::new(),
            largest: 0,
            kills: 0,
        }
    }

    /// One of the mails there are; its name and subject.
    fn pick(&self, which: usize) -> Option<(String, String)> {
        let at = which.checked_rem(self.mails.len())?;
        self.mails.iter().nth(at).map(|(name, subject)| (name.clone(), subject.clone()))
    }

    fn text(&mut self) -> (String, String) {
        self.next += 1;
        let subject = format!("subject {}", self.next);
        (mail(&subject), subject)
    }

    /// The mail has another name.
    fn renamed(&mut self, from: &str, to: String) {
        let subject = self.mails.remove(from).expect("it was picked");
        self.mails.insert(to, subject);
    }

    /// Another program renames it, where nobody else has that name.
    fn rename(&mut self, from: &str, to: String) {
        if from != to && !self.mails.contains_key(&to) {
            self.mailbox.rename(from, &to);
            self.renamed(from, to);
        }
    }

    fn act(&mut self, action: &Action) {
        use Action::{
            Arrives, ComesBack, GoesAway, IsCopied, IsLost, IsOverwritten, IsRemoved, IsRenamed, IsTagged, Runs,
            Settles,
        };
        match *action {
            Runs(ref verb, kill) => self.run(verb, kill),
            Arrives(flags) => {
                let (text, subject) = self.text();
                let name = match flags {
                    "" => format!("new/{}.host", self.next),
                    flags => format!("cur/{}.host:2,{flags}", self.next),
                };
                self.mailbox.deliver(&name, text);
                self.mails.insert(name, subject);
            }
            ComesBack => {
                let Some((from, name, subject)) = self.away.pop() else { return };
                if self.mails.keys().all(|there| base(there) != base(&name)) {
                    self.mailbox.rename(from, &name);
                    self.mails.insert(name, subject);
                }
            }
            IsLost(offsets) => {
                let own = self.mailbox.own_files().into_keys();
                let index = own.filter(|name| name.starts_with("maildex.index.")).max().expect("an index file");
                self.mailbox.remove(if offsets { "maildex.offsets" } else { &index });
                // Which UIDs are dead stands in the offsets file alone: one may come back, for the same mail.
                self.dead.clear();
                // 4: some files had been replaced, too, and nothing tells any more what by.
                let run = self.mailbox.run(["build"]);
                assert!(matches!(run.code(), Some(0 | 4)), "{run}");
            }
            Settles => {
                self.mailbox.run(["build"]).ok();
                self.mailbox.trust_stamps();
                // What is done from the next tick of the clock on shows in the stamps.
                let begun = std::time::Instant::now();
                while begun.elapsed() < std::time::Duration::from_millis(15) {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
            IsRenamed(which, _)
            | IsTagged(which, _)
            | IsRemoved(which)
            | IsOverwritten(which)
            | IsCopied(which)
            | GoesAway(which) => {
                let Some((name, subject)) = self.pick(which) else { return };
                // An inode that is free may come back under the same name, which a listing cannot see; so none gets free.
                self.next += 1;
                let kept = self.mailbox.file(format!("tmp/kept.{}", self.next));
                fs::hard_link(self.mailbox.file(&name), kept).expect("link");
                match *action {
                    IsRenamed(_, flags) => self.rename(&name, format!("cur/{}:2,{flags}", base(&name))),
                    IsTagged(_, flags) if !base(&name).contains(',') => {
                        self.rename(&name, format!("cur/{},U={}:2,{flags}", base(&name), self.next));
                    }
                    IsRemoved(_) => {
                        self.mailbox.remove(&name);
                        self.mails.remove(&name);
                    }
                    IsOverwritten(_) => {
                        let (text, subject) = self.text();
                        self.mailbox.deliver(&name, text);
                        self.mails.insert(name, subject);
                    }
                    IsCopied(_) => {
                        let (from, copy) = (self.mailbox.file(&name), self.mailbox.file("tmp/copy"));
                        let modified = fs::metadata(&from).and_then(|meta| meta.modified()).expect("an mtime");
                        fs::copy(&from, &copy).expect("copy");
                        let copied = File::options().write(true).open(copy);
                        copied.and_then(|copy| copy.set_modified(modified)).expect("set the mtime");
                        self.mailbox.rename("tmp/copy", &name);
                    }
                    GoesAway(_) => {
                        let away = format!("tmp/away.{}", self.next);
                        self.mailbox.rename(&name, &away);
                        self.mails.remove(&name);
                        self.away.push((away, name, subject));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Runs a verb to its end, or to a kill; the model follows, and if it was killed takes what is there, if that can be.
    fn run(&mut self, verb: &Verb, kill: Option<u64>) {
        let uid_of = |model: &Model, which: usize| {
            let (name, subject) = model.pick(which)?;
            let uid = model.mailbox.listed().into_iter().find(|(_, path)| *path == name)?.0;
            Some((name, subject, uid.to_string()))
        };
        let mut input = String::new();
        let (mut came, mut gone, mut uid) = (None, None, String::new());
        let mut target = None;
        match *verb {
            Verb::Flag(which, ..) | Verb::Expunge(which) | Verb::Replace(which) => {
                let Some((name, subject, number)) = uid_of(self, which) else { return };
                if !matches!(verb, Verb::Flag(..)) {
                    gone = Some(subject);
                }
                (target, uid) = (Some(name), number);
            }
            _ => {}
        }
        if matches!(verb, Verb::Deliver | Verb::Replace(_)) {
            let (text, subject) = self.text();
            (input, came) = (text, Some(subject));
        }
        let spec = if let Verb::Flag(_, sign, letter) = verb { format!("{sign}{letter}") } else { String::new() };
        let arguments = match verb {
            Verb::Build => vec!["build"],
            Verb::Full => vec!["build", "--full"],
            Verb::Flag(..) => vec!["flag", &spec, &uid],
            Verb::Deliver => vec!["deliver"],
            Verb::Inc => vec!["inc"],
            Verb::Expunge(_) => vec!["expunge", &uid],
            Verb::Replace(_) => vec!["replace", &uid],
            Verb::Compact => vec!["compact"],
            Verb::Repair => vec!["repair"],
        };
        let mut command = self.mailbox.command(&arguments);
        if let Some(kill) = kill {
            command.env("MAILDEX_KILL_AT", kill.to_string());
        }
        let mut text = tempfile::tempfile().expect("a temporary file");
        text.write_all(input.as_bytes()).and_then(|()| std::io::Seek::rewind(&mut text)).expect("write the input");
        let run = self.mailbox.finish(command.stdin(text));
        let there = self.there();
        if run.code().is_none() && kill.is_some() {
            self.kills += 1;
            self.is_between(&there, came.as_deref(), gone.as_deref());
        } else {
            let run = run.ok();
            let mut subjects = sorted(self.mails.values());
            if let Some(gone) = &gone {
                subjects.retain(|subject| subject != gone);
            }
            subjects.extend(came);
            assert_eq!(sorted(there.values()), sorted(subjects.iter()), "{verb:?}: {run}");
            self.follow(verb, target.as_deref(), &there);
        }
        self.mails = there;
    }

    /// A verb that ended well has changed those names that it is for, and no other.
    fn follow(&mut self, verb: &Verb, target: Option<&str>, there: &BTreeMap<String, String>) {
        let expected = |name: &str| match verb {
            Verb::Flag(_, sign, letter) if Some(name) == target => flagged(name, sign, *letter),
            Verb::Inc => name.strip_prefix("new/").map_or(name.into(), |new| {
                let info = if new.contains(':') { "" } else { ":2," };
                format!("cur/{new}{info}")
            }),
            _ => name.to_string(),
        };
        for (name, subject) in &self.mails {
            let is_gone = matches!(verb, Verb::Expunge(_) | Verb::Replace(_)) && Some(name.as_str()) == target;
            let now = expected(name);
            assert!(is_gone || there.get(&now) == Some(subject), "{verb:?}: {name} is not {now}: {there:#?}");
        }
    }

    /// After a kill every mail is there once but the one that was to go, which may be; and perhaps the one that was to come.
    fn is_between(&self, there: &BTreeMap<String, String>, came: Option<&str>, gone: Option<&str>) {
        let mut subjects = sorted(there.values());
        subjects.retain(|subject| Some(subject.as_str()) != came && Some(subject.as_str()) != gone);
        let mut before = sorted(self.mails.values());
        before.retain(|subject| Some(subject.as_str()) != gone);
        assert_eq!(subjects, before);
        let is_there =
            |wanted: Option<&str>| wanted.is_some_and(|wanted| there.values().any(|subject| subject == wanted));
        assert!(gone.is_none() || came.is_none() || is_there(gone) || is_there(came), "neither old nor new is there");
    }

    /// What is in the folder: subject by name.
    fn there(&self) -> BTreeMap<String, String> {
        let names = self.mailbox.mails().into_iter().map(|name| name.into_string().expect("text"));
        let subject = |name: &String| {
            let text = fs::read_to_string(self.mailbox.file(name)).expect("read the mail");
            let line = text.lines().find_map(|line| line.strip_prefix("Subject: "));
            line.expect("a subject").to_string()
        };
        names.map(|name| (name.clone(), subject(&name))).collect()
    }

    /// The folder has what the model has, the index has what the folder has, and no UID has changed its meaning.
    fn compare(&mut self) {
        assert_eq!(self.there(), self.mails);
        let run = self.mailbox.run(["list", "--json"]).ok();
        let prefix = format!("{}/", self.mailbox.path().display());
        let mut listed = BTreeMap::new();
        let mut living = BTreeSet::new();
        for record in run.json() {
            let path = record["path"].as_str().and_then(|path| path.strip_prefix(&prefix)).expect("a path").to_string();
            let uid = record["uid"].as_u64().expect("a UID");
            let subject = record["subject"].as_str().expect("a subject").to_string();
            assert!(!self.dead.contains(&uid), "UID {uid} came back from the dead: {run}");
            let known = self.seen.entry(uid).or_insert_with(|| {
                assert!(uid > self.largest, "UID {uid} is new and not above {}: {run}", self.largest);
                subject.clone()
            });
            assert_eq!(*known, subject, "UID {uid} means another mail: {run}");
            assert!(living.insert(uid), "UID {uid} twice: {run}");
            assert!(listed.insert(path, subject).is_none(), "a mail was listed twice: {run}");
        }
        self.largest = self.largest.max(living.last().copied().unwrap_or(0));
        self.dead.extend(self.seen.keys().filter(|uid| !living.contains(uid)));
        assert_eq!(listed, self.mails, "{run}");
    }
}

fn sorted<'s>(subjects: impl Iterator<Item = &'s String>) -> Vec<String> {
    let mut sorted: Vec<_> = subjects.cloned().collect();
    sorted.sort();
    sorted
}

/// The name after one flag was set or cleared.
fn flagged(name: &str, sign: &str, letter: char) -> String {
    let (before, info) = name.split_once(':').unwrap_or((name, ""));
    let info = info.strip_prefix("2,").unwrap_or("");
    let (letters, rest) = info.split_at(info.find(',').unwrap_or(info.len()));
    let is_set = sign == "+";
    if letters.contains(letter) == is_set {
        return name.into();
    }
    let letters: String = if is_set {
        let at = letters.find(|other| other > letter).unwrap_or(letters.len());
        [&letters[..at], &letter.to_string(), &letters[at..]].concat()
    } else {
        letters.replace(letter, "")
    };
    let before = if is_set { before.replacen("new/", "cur/", 1) } else { before.into() };
    format!("{before}:2,{letters}{rest}")
}

#[test]
fn a_uid_means_one_mail_whatever_is_done() {
    let cases = if long() { 400 } else { 24 };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let (operations, kills) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let done = TestRunner::new_with_rng(config, random).run(&prop::collection::vec(action(), 1..40), |actions| {
        let mut model = Model::new();
        for action in &actions {
            model.act(action);
            model.compare();
        }
        model.mailbox.assert_sound();
        operations.set(operations.get() + actions.len());
        kills.set(kills.get() + model.kills);
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
    let (operations, kills) = (operations.get(), kills.get());
    Tally::Operations.add(operations);
    Tally::CrashPoints.add(kills);
    figures(&format!(
        "{cases} orders of {operations} operations as the model has it, {kills} verbs killed on their way"
    ));
}
