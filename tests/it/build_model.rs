//! `maildex build` against a model: whatever other programs do, and whatever is lost between two builds, the index has
//! what the folder has, and a UID never comes to mean another mail.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};

use crate::mailbox::{Mailbox, mail};

/// The same numbers at each run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }

    fn pick(&mut self, names: &[String]) -> Option<String> {
        names.get(self.below(names.len())).cloned()
    }
}

/// What has been seen of each UID.
#[derive(Default)]
struct Model {
    next: usize,
    /// Subject of each UID that was ever listed.
    seen: HashMap<u64, String>,
    /// UIDs that were listed once and were not there at a later build.
    dead: BTreeSet<u64>,
    largest: u64,
    away: Vec<(String, String)>,
}

fn base(name: &str) -> &str {
    name.split(':').next().expect("a first part").rsplit('/').next().expect("a last part")
}

impl Model {
    /// One thing that another program does.
    fn act(&mut self, mail: &Mailbox, random: &mut Random) -> String {
        let names: Vec<String> = mail.mails().into_iter().map(|name| name.into_string().expect("text")).collect();
        let flags = ["", "S", "F", "FS", "SF", "ST", "Sa", "S,x"][random.below(8)];
        self.next += 1;
        let text = self::mail(&format!("subject {}", self.next));
        let Some(name) = random.pick(&names) else {
            mail.deliver(format!("new/{}.host", self.next), text);
            return "the first delivery".into();
        };
        // An inode that is free may come back under the same name, which a listing cannot see; so none gets free.
        fs::hard_link(mail.file(&name), mail.file(format!("tmp/kept.{}", self.next))).expect("link");
        let to = format!("cur/{}:2,{flags}", base(&name));
        let what = random.below(9);
        match what {
            0 | 1 => mail.deliver(format!("new/{}.host", self.next), text),
            2 => mail.deliver(format!("cur/{}.host:2,{flags}", self.next), text),
            3 | 4 => mail.rename(&name, to),
            5 => mail.remove(&name),
            6 => mail.deliver(&name, text), // other contents under the same name
            7 => {
                // Away, and back some time later; or a copy from a backup at once.
                if random.below(2) == 0 {
                    self.away.push((format!("tmp/away.{}", self.next), name.clone()));
                    mail.rename(&name, format!("tmp/away.{}", self.next));
                } else {
                    let modified = fs::metadata(mail.file(&name)).and_then(|meta| meta.modified()).expect("mtime");
                    fs::copy(mail.file(&name), mail.file("tmp/copy")).expect("copy");
                    File::options()
                        .write(true)
                        .open(mail.file("tmp/copy"))
                        .and_then(|f| f.set_modified(modified))
                        .expect("utimes");
                    mail.rename("tmp/copy", &name);
                }
            }
            _ if !base(&name).contains(',') => {
                mail.rename(&name, format!("cur/{},U={}:2,{flags}", base(&name), self.next));
            }
            _ => {}
        }
        if random.below(6) == 0
            && let Some((from, to)) = self.away.pop()
            && !names.iter().any(|name| base(name) == base(&to))
        {
            mail.rename(from, to);
        }
        format!("{what} {name} {flags} {}", self.next)
    }

    /// The index has what the folder has, and no UID has changed its meaning.
    fn compare(&mut self, mail: &Mailbox, done: &[String]) {
        let records = mail.run(["list", "--json"]).ok().json();
        let prefix = format!("{}/", mail.path().display());
        let mut listed = BTreeMap::new();
        for record in &records {
            let path = record["path"].as_str().and_then(|path| path.strip_prefix(&prefix)).expect("a path").to_string();
            let uid = record["uid"].as_u64().expect("a UID");
            let subject = record["subject"].as_str().expect("a subject").to_string();
            let text =
                fs::read_to_string(mail.file(&path)).unwrap_or_else(|error| panic!("{path}: {error}: {done:#?}"));
            assert!(text.contains(&format!("Subject: {subject}\n")), "UID {uid} is not {path}: {done:#?}");
            assert!(!self.dead.contains(&uid), "UID {uid} came back from the dead: {done:#?}");
            let known = self.seen.entry(uid).or_insert_with(|| {
                assert!(uid > self.largest, "UID {uid} is new and below {}: {done:#?}", self.largest);
                subject.clone()
            });
            assert_eq!(*known, subject, "UID {uid} means another mail: {done:#?}");
            assert!(listed.insert(path, uid).is_none(), "a mail was listed twice: {done:#?}");
        }
        self.largest = self.largest.max(listed.values().copied().max().unwrap_or(0));
        let living: BTreeSet<u64> = listed.values().copied().collect();
        self.dead.extend(self.seen.keys().filter(|uid| !living.contains(uid)));
        let names: Vec<_> = mail.mails().into_iter().map(|name| name.into_string().expect("text")).collect();
        assert_eq!(listed.into_keys().collect::<Vec<_>>(), {
            let mut names = names;
            names.sort();
            names
        });
    }
}

fn undergo(seed: u64, harm: impl Fn(&Mailbox, &mut Random) -> Option<String>) {
    undergo_both(seed, |_| (), harm);
}

/// With something done before other programs come.
fn undergo_both(seed: u64, before: impl Fn(&Mailbox), harm: impl Fn(&Mailbox, &mut Random) -> Option<String>) {
    let mail = Mailbox::new();
    mail.run(["build"]).ok();
    let mut random = Random(seed);
    let mut model = Model::default();
    let mut done = Vec::new();
    for _ in 0..60 {
        before(&mail);
        for _ in 0..=random.below(4) {
            done.push(model.act(&mail, &mut random));
        }
        if let Some(harm) = harm(&mail, &mut random) {
            done.push(harm);
            // Which UIDs are dead stands in the offsets file alone: one may come back, for the same mail.
            model.dead.clear();
            // 4: some files had been replaced, too, and nothing tells any more what by.
            let run = mail.run(["build"]);
            assert!(matches!(run.code(), Some(0 | 4)), "{run}");
        }
        if random.below(2) == 0 {
            mail.run(["build"]).ok().silent();
        }
        model.compare(&mail, &done);
    }
    mail.assert_sound();
}

#[test]
fn a_uid_means_one_mail_whatever_others_do() {
    (1..=2).for_each(|seed| undergo(seed, |_, _| None));
}

#[test]
fn a_uid_means_one_mail_though_files_are_lost() {
    let lose = |mail: &Mailbox, random: &mut Random| {
        let index =
            mail.own_files().into_keys().find(|name| name.starts_with("maildex.index.")).expect("an index file");
        let name = ["maildex.offsets", &index].get(random.below(10)).map(|name| (*name).to_string())?;
        mail.remove(&name);
        Some(format!("lost {name}"))
    };
    (5..=6).for_each(|seed| undergo(seed, lose));
}

/// Makes the stamps count at once: what is done from the next tick of the clock on shows in them.
fn settle(mail: &Mailbox) {
    mail.trust_stamps();
    let tick = std::time::Instant::now();
    while tick.elapsed() < std::time::Duration::from_millis(15) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_uid_means_one_mail_though_only_what_changed_is_listed() {
    (9..=10).for_each(|seed| undergo_both(seed, settle, |_, _| None));
}
