//! What must be true of a folder, worked out by the test itself from file names and mails. Nothing of maildex's code is
//! used for that: its answers are read from `list --json`, and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use crate::mailbox::{Mailbox, Run};

/// A mail in new/ or cur/.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDisk {
    /// `cur/1.host:2,S`
    pub path: String,
    /// Before the colon.
    pub base: String,
    /// The letters after `2,`, sorted, each once.
    pub flags: String,
    /// Names the mail; empty if it has none.
    pub message_id: String,
    pub size: u64,
}

/// A mail as maildex lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub uid: u64,
    pub mail: OnDisk,
}

/// All mails of a folder, by path. Names are UTF-8 here.
pub fn on_disk(mailbox: &Mailbox) -> Vec<OnDisk> {
    let paths = mailbox.mails().into_iter().map(|path| path.into_string().expect("a UTF-8 name"));
    paths
        .map(|path| {
            let name = path.split_once('/').expect("a directory").1;
            let (base, info) = name.split_once(':').unwrap_or((name, ""));
            let letters = info.strip_prefix("2,").unwrap_or("").split(',').next().unwrap_or("");
            let flags: BTreeSet<char> = letters.chars().filter(char::is_ascii_alphabetic).collect();
            let text = fs::read_to_string(mailbox.file(&path)).expect("read the mail");
            OnDisk {
                base: base.to_string(),
                flags: flags.into_iter().collect(),
                message_id: message_id(&text).to_string(),
                size: text.len() as u64,
                path,
            }
        })
        .collect()
}

/// What stands between the angle brackets of the `Message-ID:` line.
fn message_id(text: &str) -> &str {
    let header = text.split("\n\n").next().unwrap_or("");
    let field = header.lines().find_map(|line| line.strip_prefix("Message-ID: "));
    field.map_or("", |value| value.trim_matches(['<', '>']))
}

/// What `list --json` printed.
pub fn listed(mailbox: &Mailbox, run: &Run) -> Vec<Listed> {
    let prefix = format!("{}/", mailbox.path().display());
    let records = run.json();
    let text = |record: &serde_json::Value, key: &str| record[key].as_str().expect(key).to_string();
    records
        .iter()
        .map(|record| Listed {
            uid: record["uid"].as_u64().expect("a UID"),
            mail: OnDisk {
                path: text(record, "path").strip_prefix(&prefix).expect("a path in the folder").to_string(),
                base: text(record, "base"),
                flags: text(record, "flags"),
                message_id: text(record, "message_id").trim_matches(['<', '>']).to_string(),
                size: record["size"].as_u64().expect("a size"),
            },
        })
        .collect()
}

/// Every mail once, with the flags of its name, under a UID of its own, in UID order.
pub fn is_the_folder(mailbox: &Mailbox, listed: &[Listed]) -> Result<(), String> {
    if !listed.is_sorted_by(|a, b| a.uid < b.uid) {
        return Err(format!("UIDs are not unique and rising: {listed:#?}"));
    }
    let mut mails: Vec<_> = listed.iter().map(|listed| listed.mail.clone()).collect();
    mails.sort_by(|a, b| a.path.cmp(&b.path));
    let expected = on_disk(mailbox);
    if mails != expected {
        return Err(format!("listed: {mails:#?}\nin the folder: {expected:#?}"));
    }
    Ok(())
}

/// Every UID that was ever shown, and of which mail: what stands before the first comma of its base name, which sync
/// programs keep, and its Message-ID, once it has one.
#[derive(Debug, Clone, Default)]
pub struct History {
    mails: BTreeMap<u64, (String, String)>,
}

impl History {
    /// Takes up a listing; an error if a UID names another mail than it did.
    pub fn take(&mut self, listed: &[Listed]) -> Result<(), String> {
        for Listed { uid, mail } in listed {
            let stem = mail.base.split(',').next().unwrap_or("").to_string();
            let (was_stem, was_id) = self.mails.entry(*uid).or_insert_with(|| (stem.clone(), mail.message_id.clone()));
            // Of mail that could not be read the index knows no more than the name.
            let is_other = !was_id.is_empty() && !mail.message_id.is_empty() && *was_id != mail.message_id;
            if *was_stem != stem || is_other {
                return Err(format!("WRONG UID: {uid} was {was_stem} <{was_id}> and is {mail:?}"));
            }
            if !mail.message_id.is_empty() {
                was_id.clone_from(&mail.message_id);
            }
        }
        Ok(())
    }

    /// The largest UID that was ever shown.
    pub fn last(&self) -> u64 {
        self.mails.last_key_value().map_or(0, |(uid, _)| *uid)
    }
}

/// Everything about the mail that must stay: path, contents, inode and mtime of each file in new/, cur/ and tmp/.
pub fn untouchable(mailbox: &Mailbox) -> BTreeMap<String, (Vec<u8>, u64, SystemTime)> {
    untouchable_in(&mailbox.path())
}

/// The same of any folder.
pub fn untouchable_in(folder: &Path) -> BTreeMap<String, (Vec<u8>, u64, SystemTime)> {
    let mut files = BTreeMap::new();
    for sub in ["new", "cur", "tmp"] {
        for entry in fs::read_dir(folder.join(sub)).expect("list the folder") {
            let path = format!("{sub}/{}", entry.expect("an entry").file_name().to_str().expect("a UTF-8 name"));
            let file = folder.join(&path);
            let meta = file.symlink_metadata().expect("stat the mail");
            let mtime = meta.modified().expect("an mtime");
            files.insert(path, (fs::read(file).expect("read the mail"), meta.ino(), mtime));
        }
    }
    files
}

/// The files that maildex has in the folder.
pub fn own_files(mailbox: &Mailbox) -> BTreeSet<String> {
    let entries = fs::read_dir(mailbox.path()).expect("list the folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a UTF-8 name"));
    names.filter(|name| name.starts_with("maildex.")).collect()
}
