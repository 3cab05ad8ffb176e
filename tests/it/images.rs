//! What a machine that crashes leaves on the disk: of each page of our files some state between the one that was synced and
//! the last one, each page for itself; of the lengths the same. After the next build all must be true.
//!
//! A writer runs in this process, and at every store and sync both files are looked at (`src/failpoint.rs`). From these
//! states images are put together at random. The mail is as it was at the time, in its own files, since that is other
//! programs' work. After every fourth crash the machine crashes again while the build is at work. `MAILDEX_LONG=1` tries
//! ten times as many.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use maildex::failpoint::{Step, watched};
use maildex::folder::Folder;
use maildex::format::SlotNo;
use maildex::format::block::{BLOCK_LEN, COLUMNS, SLOTS, decode_uid};
use maildex::format::header::{HEADER_LEN, Identity, Kind};
use maildex::format::status::Status;
use maildex::format::word::Number;
use maildex::index::Index;
use maildex::lock::Wait;
use maildex::ops::Message;
use maildex::ops::build::{Options, Report, build};
use maildex::ops::check::check;
use maildex::ops::names::Names;

use crate::mailbox::{Mailbox, figures, long, mail};
use crate::oracle::{self, Listed, OnDisk};
use crate::tally::Tally;

const PAGE: usize = 4096;

/// The same numbers at each run (splitmix64, Sebastiano Vigna).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end.max(1) as u64) as usize
    }

    /// One of several, the first and the last more often than others.
    fn pick(&mut self, count: usize) -> usize {
        match self.below(3) {
            0 => 0,
            1 => count - 1,
            _ => self.below(count),
        }
    }
}

/// The states that something had, each with the moment from which on.
type States<T> = Vec<(usize, T)>;

/// Those that may be on the disk: from the one that was synced to the one at a moment.
fn possible<T>(states: &States<T>, synced: usize, moment: usize) -> &[(usize, T)] {
    let last = states.partition_point(|(from, _)| *from <= moment);
    let first = states.partition_point(|(from, _)| *from <= synced);
    &states[first.saturating_sub(1).min(last)..last]
}

/// One file over time.
struct History {
    name: String,
    ino: u64,
    pages: Vec<States<Vec<u8>>>,
    lens: States<usize>,
    /// Moments at which all was synced.
    synced: Vec<usize>,
}

impl History {
    /// Begins with what is there, as if it was synced.
    fn new(mail: &Mailbox, name: &str) -> History {
        let ino = fs::metadata(mail.file(name)).expect("stat").ino();
        let mut history = History { name: name.into(), ino, pages: Vec::new(), lens: Vec::new(), synced: vec![0] };
        history.look(mail, 0);
        history
    }

    fn look(&mut self, mail: &Mailbox, moment: usize) {
        let bytes = fs::read(mail.file(&self.name)).expect("read our file");
        if self.lens.last().is_none_or(|(_, len)| *len != bytes.len()) {
            self.lens.push((moment, bytes.len()));
        }
        for (number, page) in bytes.chunks(PAGE).enumerate() {
            if number == self.pages.len() {
                self.pages.push(vec![(0, Vec::new())]); // not yet there: zeros
            }
            let states = &mut self.pages[number];
            if states.last().is_none_or(|(_, last)| last != page) {
                states.push((moment, page.to_vec()));
            }
        }
    }

    /// What a crash at a moment may leave. `pick` is asked which of so many states: for each page by its number, and with
    /// `None` for the length.
    fn image(&self, moment: usize, pick: &mut dyn FnMut(Option<usize>, usize) -> usize) -> Vec<u8> {
        let synced = self.synced[self.synced.partition_point(|at| *at <= moment) - 1];
        let lens = possible(&self.lens, synced, moment);
        let mut image = vec![0; lens[pick(None, lens.len())].1];
        for (number, (page, states)) in image.chunks_mut(PAGE).zip(&self.pages).enumerate() {
            let states = possible(states, synced, moment);
            if !states.is_empty() {
                let (_, bytes) = &states[pick(Some(number), states.len())];
                let len = bytes.len().min(page.len());
                page[..len].copy_from_slice(&bytes[..len]);
            }
        }
        image
    }
}

/// Both files over time, and what was shown of them.
struct Film {
    moment: usize,
    offsets: History,
    index: History,
    /// The UIDs that were published, with the moment.
    shown: Vec<(usize, u32)>,
    known: BTreeSet<u32>,
}

impl Film {
    fn new(mail: &Mailbox) -> Film {
        let index = mail.own_files().into_keys().find(|name| name.starts_with("maildex.index.")).expect("an index");
        let (offsets, index) = (History::new(mail, "maildex.offsets"), History::new(mail, &index));
        let mut film = Film { moment: 0, offsets, index, shown: Vec::new(), known: BTreeSet::new() };
        film.see();
        film
    }

    /// The next moment.
    fn step(&mut self, mail: &Mailbox, step: Step<'_>) {
        self.moment += 1;
        self.offsets.look(mail, self.moment);
        self.index.look(mail, self.moment);
        if let Step::Synced(file) = step {
            let ino = file.metadata().expect("stat").ino();
            for history in [&mut self.offsets, &mut self.index] {
                if history.ino == ino {
                    history.synced.push(self.moment);
                }
            }
        }
        self.see();
    }

    /// The files may be others by now, with the same in them.
    fn find_files(&mut self, mail: &Mailbox) {
        for history in [&mut self.offsets, &mut self.index] {
            history.ino = fs::metadata(mail.file(&history.name)).expect("stat").ino();
        }
    }

    /// What a reader could see now.
    fn see(&mut self) {
        let page =
            |number: usize| self.offsets.pages.get(number).and_then(|states| states.last()).map(|(_, page)| page);
        let word = |number: usize, at: usize| {
            let bytes = page(number)?.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
        };
        let record = page(0).and_then(|page| page.first_chunk()).expect("a header");
        let id = Identity::decode(Kind::Offsets, record).expect("a header that was never changed").id;
        let count = word(0, 128).and_then(Number::decode).expect("a count at each moment") as usize;
        for no in self.known.len()..count {
            let at = HEADER_LEN + no / SLOTS * BLOCK_LEN + COLUMNS[5].at + no % SLOTS * 8;
            let uid = decode_uid(word(at / PAGE, at % PAGE).expect("a published slot"), &id, SlotNo(no as u32));
            let uid = uid.expect("a published UID").get();
            self.shown.push((self.moment, uid));
            self.known.insert(uid);
        }
    }

    /// What was shown up to a moment.
    fn shown_at(&self, moment: usize) -> BTreeSet<u32> {
        self.shown.iter().filter(|(at, _)| *at <= moment).map(|(_, uid)| *uid).collect()
    }
}

/// Runs a build, filmed.
fn filmed(mail: &Rc<Mailbox>, film: &Rc<RefCell<Film>>) -> Report {
    let (watched_mail, watched_film) = (Rc::clone(mail), Rc::clone(film));
    let watcher = Box::new(move |step: Step<'_>| watched_film.borrow_mut().step(&watched_mail, step));
    watched(watcher, || plain_build(mail)).expect("a build")
}

fn plain_build(mail: &Mailbox) -> maildex::Result<Report> {
    let folder = Folder::open(&mail.path())?;
    let go_on = &mut |_| std::ops::ControlFlow::Continue(());
    build(&folder, Options { heal: true, ..Options::default() }, Wait::Forever, &mut |_| (), go_on)
}

/// All messages, as a reader has them.
fn listed(mail: &Mailbox) -> Vec<Listed> {
    let mut folder = Folder::open(&mail.path()).expect("open the folder");
    let maildir = std::sync::Arc::clone(folder.maildir());
    let snapshot = folder.complete_index().and_then(Index::snapshot).expect("an index");
    let (mut entries, mut names) = (snapshot.index().entries().expect("entries"), Names::default());
    let mut listed = Vec::new();
    for slot in snapshot.slots() {
        let (uid, status, change) =
            (slot.uid().expect("uid"), slot.status().expect("status"), slot.changed().expect("change"));
        let entry = entries.read(&slot).expect("entry");
        if status.has(Status::EXPUNGED) {
            continue;
        }
        let message = Message { uid, status, change, inode: slot.inode(), entry };
        let (sub, name) = names.of_or_base(&maildir, &message).expect("a name");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        listed.push(Listed {
            uid: uid.get().into(),
            mail: OnDisk {
                path: format!("{}/{}", sub.as_str(), text(&name)),
                base: text(entry.base),
                flags: status.flags().to_string(),
                message_id: entry.message_id.trim_matches(['<', '>']).into(),
                size: entry.size,
            },
        });
    }
    listed
}

/// Writes an image of a machine that was started again since.
fn put(mail: &Mailbox, files: &[(&str, &[u8])]) {
    mail.put_back(files);
    start_again(mail);
}

/// Makes it look as if the machine was started again since the last writer.
pub fn start_again(mail: &Mailbox) {
    mail.edit("maildex.offsets", |bytes| {
        let crc = |bytes: &[u8]| u64::from(crc32c::crc32c(bytes)).to_le_bytes();
        if bytes.len() >= 184 && bytes[176..184] == crc(&bytes[160..176]) {
            bytes[160..176].copy_from_slice(b"another boot id!");
            let crc = crc(&bytes[160..176]);
            bytes[176..184].copy_from_slice(&crc);
        }
    });
}

/// What other programs do between two builds; a free inode would be given out again, so each is kept.
fn act(mail: &Mailbox, random: &mut Random, next: &mut usize) {
    let names: Vec<String> = mail.mails().into_iter().map(|name| name.into_string().expect("text")).collect();
    *next += 1;
    let text = self::mail(&format!("mail {next}"));
    let flags = ["", "S", "FS", "ST", "Sa", "SF"][random.below(6)];
    let what = random.below(8);
    if what < 3 || names.len() < 3 {
        return match what {
            0 => mail.deliver(format!("cur/{next}.host:2,{flags}"), text),
            _ => mail.deliver(format!("new/{next}.host"), text),
        };
    }
    let name = &names[random.below(names.len())];
    let base = name.split(':').next().and_then(|name| name.rsplit('/').next()).expect("a base");
    fs::hard_link(mail.file(name), mail.file(format!("tmp/kept.{next}"))).expect("keep its inode");
    match what {
        3 | 4 => mail.rename(name, format!("cur/{base}:2,{flags}")),
        5 => mail.remove(name),
        6 => mail.deliver(name, text),
        _ if base.contains(',') => {}
        _ => mail.rename(name, format!("cur/{base},U={next}:2,{flags}")),
    }
}

/// As the oracle has it; only what differs is told.
fn is_the_folder(mail: &Mailbox, listed: &[Listed]) -> Result<(), String> {
    oracle::is_the_folder(mail, listed).map_err(|_| {
        let there = oracle::on_disk(mail);
        let wrong: Vec<_> = listed.iter().filter(|listed| !there.contains(&listed.mail)).collect();
        let missing: Vec<_> = there.iter().filter(|mail| !listed.iter().any(|listed| listed.mail == **mail)).collect();
        format!("{} listed, of {}; wrong: {wrong:#?}; missing: {missing:#?}", listed.len(), there.len())
    })
}

/// What must hold of every image of a crash at one moment.
struct Truth {
    /// The mail of each UID that was shown by then, whether it lives or not.
    shown: BTreeMap<u64, String>,
    /// What an undisturbed build lists.
    settled: Vec<Listed>,
}

impl Truth {
    fn judge(&self, mail: &Mailbox) -> Result<Vec<Listed>, String> {
        let report = plain_build(mail).map_err(|error| format!("the build failed: {error}"))?;
        if let Some(why) = &report.rebuilt {
            return Err(format!("a crash is no damage, and yet the index was made again: {why}"));
        }
        let listed = listed(mail);
        is_the_folder(mail, &listed)?;
        let folder = Folder::open(&mail.path()).expect("open the folder");
        let mut found = Vec::new();
        let checked = check(&folder, true, &mut |finding| found.push(finding.to_string())).expect("a check");
        if checked.damage > 0 {
            return Err(format!("damage after the build: {found:#?}"));
        }
        let last = self.shown.keys().max().copied().unwrap_or(0);
        for Listed { uid, mail } in &listed {
            match self.shown.get(uid) {
                Some(message_id) if *message_id == mail.message_id => {}
                Some(was) => return Err(format!("WRONG UID {uid}: was {was}, is {mail:?}")),
                None if *uid > last => {}
                None => return Err(format!("UID {uid} is new and not above {last}: {mail:?}")),
            }
        }
        for settled in self.settled.iter().filter(|settled| self.shown.contains_key(&settled.uid)) {
            if !listed.contains(settled) {
                return Err(format!("{settled:?} was shown and has another UID: {listed:#?}\n{report:?}"));
            }
        }
        Ok(listed)
    }
}

/// So many images of crashes, over so many rounds of other programs' doings.
fn undergo(seed: u64, mails: usize, rounds: usize, images: usize) -> usize {
    let mail = Rc::new(Mailbox::in_memory().messages(mails));
    plain_build(&mail).expect("the first build");
    let (mut random, mut next) = (Random(seed), mails);
    let mut truth: BTreeMap<u64, String> = BTreeMap::new();
    let mut film = Rc::new(RefCell::new(Film::new(&mail)));
    let mut tried = 0;
    for round in 0..rounds {
        let before = listed(&mail);
        truth.extend(before.into_iter().map(|listed| (listed.uid, listed.mail.message_id)));
        if round % 7 == 6 {
            mail.run(["compact"]).ok();
            film = Rc::new(RefCell::new(Film::new(&mail)));
        }
        for _ in 0..=random.below(5) {
            act(&mail, &mut random, &mut next);
        }
        let from = film.borrow().moment;
        filmed(&mail, &film);
        let settled = listed(&mail);
        is_the_folder(&mail, &settled).expect("an undisturbed build");
        let all: BTreeMap<u64, String> =
            truth.clone().into_iter().chain(settled.iter().map(|l| (l.uid, l.mail.message_id.clone()))).collect();
        let kept = mail.own_files();
        for image in 0..images {
            let film = film.borrow();
            let moment = from + random.below(film.moment - from + 1);
            let by_then = film.shown_at(moment);
            let is_shown = |uid: &u64| truth.contains_key(uid) || by_then.contains(&(*uid as u32));
            let shown = all.iter().filter(|(uid, _)| is_shown(uid)).map(|(uid, id)| (*uid, id.clone())).collect();
            let truth = Truth { shown, settled: settled.clone() };
            let pick = &mut |_, count| random.pick(count);
            let (offsets, index) = (film.offsets.image(moment, pick), film.index.image(moment, pick));
            put(&mail, &[("maildex.offsets", &offsets), (&film.index.name, &index)]);
            let truth = if image % 4 == 0 { crash_again(&mail, truth, &mut random) } else { truth };
            let at = || format!("seed {seed}, round {round}, image {image}, moment {moment}");
            truth.judge(&mail).unwrap_or_else(|why| panic!("{}: {why}", at()));
            tried += 1;
        }
        let kept: Vec<_> = kept.into_iter().collect();
        mail.put_back(&kept);
        film.borrow_mut().find_files(&mail);
    }
    tried
}

/// The machine crashes once more, while the build after the first crash is at work. What that has shown is shown, too.
fn crash_again(mail: &Rc<Mailbox>, truth: Truth, random: &mut Random) -> Truth {
    let film = Rc::new(RefCell::new(Film::new(mail)));
    filmed(mail, &film);
    let film = film.borrow();
    let moment = random.below(film.moment + 1);
    let by_then = film.shown_at(moment);
    let is_new = |listed: &Listed| by_then.contains(&(listed.uid as u32)) && !truth.shown.contains_key(&listed.uid);
    let new: Vec<_> = listed(mail).into_iter().filter(is_new).collect();
    let pick = &mut |_, count| random.pick(count);
    let (offsets, index) = (film.offsets.image(moment, pick), film.index.image(moment, pick));
    put(mail, &[("maildex.offsets", &offsets), (&film.index.name, &index)]);
    let Truth { mut shown, settled } = truth;
    let known = settled.into_iter().filter(|settled| shown.contains_key(&settled.uid)).collect::<Vec<_>>();
    shown.extend(new.iter().map(|listed| (listed.uid, listed.mail.message_id.clone())));
    Truth { shown, settled: known.into_iter().chain(new).collect() }
}

/// A folder with three mails and an index.
fn indexed() -> Rc<Mailbox> {
    let mail = Rc::new(Mailbox::in_memory().messages(3));
    plain_build(&mail).expect("the first build");
    mail
}

/// A build in which some pages of the offsets file are as new as can be at the crash, and all else as old as can be.
#[track_caller]
fn newest_are(pages: &[usize], mail: &Rc<Mailbox>, shown: &[Listed]) {
    let shown = shown.iter().map(|listed| (listed.uid, listed.mail.message_id.clone())).collect();
    let film = Rc::new(RefCell::new(Film::new(mail)));
    filmed(mail, &film);
    let truth = Truth { shown, settled: listed(mail) };
    let film = film.borrow();
    for moment in 0..=film.moment {
        let is_newest = |number: Option<usize>| number.is_none_or(|number| pages.contains(&number));
        let pick = &mut |number, count: usize| if is_newest(number) { count - 1 } else { 0 };
        let (offsets, index) = (film.offsets.image(moment, pick), film.index.image(moment, &mut |_, count| count - 1));
        put(mail, &[("maildex.offsets", &offsets), (&film.index.name, &index)]);
        truth.judge(mail).unwrap_or_else(|why| panic!("pages {pages:?} at moment {moment}: {why}"));
    }
}

/// Then the mail was found by its hash, and listed under the name that it had before.
#[test]
fn the_hash_of_a_renamed_mail_reaches_the_disk_before_the_place_of_its_entry() {
    let mail = indexed();
    let shown = listed(&mail);
    mail.rename("cur/2.host:2,", "cur/2.host,U=2:2,S");
    newest_are(&[4], &mail, &shown);
}

/// Then the dead slot that keeps a UID from being given out again had no hash, which is damage.
#[test]
fn a_dead_slot_reaches_the_disk_without_its_hash() {
    let mail = indexed();
    let (shown, older) = (listed(&mail), mail.own_files());
    mail.deliver("new/4.host", self::mail("mail 4"));
    plain_build(&mail).expect("a build");
    mail.edit("maildex.offsets", |bytes| bytes.clone_from(&older["maildex.offsets"]));
    newest_are(&[1, 3, 6], &mail, &shown);
}

#[test]
fn any_page_reaches_the_disk_before_the_others() {
    for page in 0..7 {
        let mail = indexed();
        let shown = listed(&mail);
        mail.rename("cur/2.host:2,", "cur/2.host,U=2:2,S");
        mail.remove("cur/1.host:2,");
        mail.deliver("new/4.host", self::mail("mail 4"));
        newest_are(&[page], &mail, &shown);
    }
}

#[test]
fn after_a_crash_of_the_machine_the_next_build_makes_all_true() {
    let times = if long() { 10 } else { 1 };
    let mut tried = 0;
    for seed in 0..times {
        tried += undergo(seed, 12, 25, 36);
        tried += undergo(1000 + seed, 509, 5, 20);
    }
    Tally::CrashPoints.add(tried);
    figures(&format!("images of crashed machines: {tried} put right by the next build, no wrong UID"));
}
