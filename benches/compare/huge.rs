//! What the largest folders cost, and very many small ones. An index can be made without the mails: what reading it costs
//! does not depend on them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use maildex::dir::Dir;
use maildex::format::Uid;
use maildex::format::entry::Entry;
use maildex::format::status::Status;
use maildex::format::word::LastChange;
use maildex::index::generation::{NewGeneration, Start, first_identity};
use maildex::index::publish::SlotData;
use maildex::lock::{Lock, Wait};
use maildex::maildir::Maildir;
use maildex::maildir::Sub;
use maildex::maildir::name::Name;
use maildex::maildir::summary::{Summary, header_len};
use maildex::sample::Sample;

use crate::Result;
use crate::measure::{Cmd, Contestant, Turns, race};
use crate::report::Row;

/// Mails of the sample whose entries are used again and again, under other names.
const KINDS: u32 = 1000;

/// Mails in each of many folders.
const MAILS: u32 = 10;

/// Makes an index of so many messages, and reads it.
pub fn index(maildex: &Path, work: &Path, messages: u32) -> Result<Vec<Row>> {
    let folder = work.join("index");
    for sub in ["new", "cur", "tmp"] {
        fs::create_dir_all(folder.join(sub))?;
    }
    make_index(&folder, messages)?;
    let mail = folder.display().to_string();
    let middle = (messages / 2).to_string();
    let verbs: [(&str, &[&str]); 6] = [
        ("show one by UID", &["show", &mail, &middle, "--no-refresh"]),
        ("count the unseen", &["count", &mail, "unseen", "--no-refresh"]),
        ("UIDs of the unseen", &["list", &mail, "--uids", "--no-refresh", "unseen"]),
        ("one line for every mail", &["list", &mail, "--no-refresh"]),
        ("a word in all subjects", &["count", &mail, "--no-refresh", "subject", "invoice"]),
        ("check", &["check", &mail]),
    ];
    let mut rows = Vec::new();
    for (what, words) in verbs {
        let cmd = Cmd::new([maildex.display().to_string()].into_iter().chain(words.iter().map(ToString::to_string)));
        // Without its mails the folder is odd, and check says so.
        let cmd = if what == "check" { Cmd::sh(format!("{} || true", cmd.words.join(" "))) } else { cmd };
        rows.extend(one("index", what, messages, cmd)?);
    }
    let mut bytes = 0;
    for entry in fs::read_dir(&folder)? {
        let meta = entry?.metadata()?;
        bytes += if meta.is_file() { meta.len() } else { 0 };
    }
    rows.push(Row { note: bytes.to_string(), ..Row::single("bytes", "maildex", messages, 0.0) });
    Ok(rows)
}

fn make_index(folder: &Path, messages: u32) -> Result<()> {
    let dir = Arc::new(Dir::open(folder)?);
    let access = Maildir::new(Arc::clone(&dir), false)?.access();
    let lock = Lock::acquire(&dir, "compare", Wait::Forever, access, &mut |_| ())?;
    let identity = first_identity(0);
    let mut new = NewGeneration::begin(&dir, &lock, access, identity.clone())?;
    let sample = Sample::new();
    let kinds: Vec<_> = (0..KINDS).map(|number| sample.mail(number)).collect();
    let summaries: Vec<_> = kinds
        .iter()
        .map(|mail| Summary::read(&mail.text[..header_len(&mail.text, 0).unwrap_or(mail.text.len())]))
        .collect();
    let mut bytes = Vec::new();
    for number in 0..messages {
        let (mail, summary) = (&kinds[(number % KINDS) as usize], &summaries[(number % KINDS) as usize]);
        let uid = Uid::new(number + 1).ok_or("too many")?;
        let base = format!("{}.M{number}P1.compare", 1_700_000_000 + number);
        bytes.clear();
        Entry::new(base.as_bytes(), mail.received_s * 1_000_000_000, mail.text.len() as u64, summary).write(&mut bytes);
        let status = Status::of_name(Sub::Cur, &Name::parse(&mail.name));
        let data =
            SlotData { uid, status, entry_at: 0, hash: identity.hash(base.as_bytes()), inode: u64::from(number) + 1 };
        new.push(&mut bytes, 1, LastChange { number: 1, moved: false }, data)?;
    }
    new.commit(&Start::without_history(1, true))?;
    Ok(lock.release()?)
}

/// Makes so many folders below one directory, and goes through them.
pub fn folders(maildex: &Path, work: &Path, count: u32) -> Result<Vec<Row>> {
    let root = work.join("folders");
    for number in 0..count {
        let folder = root.join(format!("{:03}/{number}", number / 100));
        for sub in ["new", "cur", "tmp"] {
            fs::create_dir_all(folder.join(sub))?;
        }
        maildex::sample::write(&folder, number * MAILS % 100_000..(number * MAILS % 100_000) + MAILS)?;
    }
    let root = root.display().to_string();
    let mut rows = Vec::new();
    for (what, words) in [
        ("build -r, the first time", vec!["build", "-r", &root, "--quiet"]),
        ("build -r, nothing changed", vec!["build", "-r", &root, "--quiet"]),
        ("count -r: a table of all", vec!["count", "-r", &root]),
        ("count -r unseen", vec!["count", "-r", &root, "unseen"]),
    ] {
        let cmd = Cmd::new([maildex.display().to_string()].into_iter().chain(words.iter().map(ToString::to_string)));
        if what.ends_with("changed") {
            std::thread::sleep(Duration::from_millis(2_100));
            cmd.output()?;
        }
        rows.extend(one("folders", what, count, cmd)?);
    }
    Ok(rows)
}

fn one(key: &str, what: &str, messages: u32, cmd: Cmd) -> Result<Vec<Row>> {
    let runs = if what.ends_with("first time") { 0 } else { 5 };
    let budget = Duration::from_secs(if runs == 0 { 0 } else { 10 });
    let turns = Turns { runs, budget, limit: Duration::from_mins(5), cold: false };
    let contestant = Contestant { tool: what.to_string(), step: Box::new(move || Ok(cmd.clone())) };
    let taken = race(vec![contestant], turns)?;
    Ok(taken.into_iter().map(|taken| Row::new(key, messages, taken)).collect())
}
