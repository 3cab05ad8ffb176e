//! A mail whose header holds the bytes of an entry, made by somebody who has read the index: with its id, its marker, the
//! offset at which they will stand, and so the right CRC. Never is it taken for an entry, with or without the offsets file.
//!
//! What keeps it out is the marker: it has an 0xFF, which no text has, and a NUL, which no file name has. So it must never
//! get into the file, whatever a header says; and where an entry around it is damaged, so that the walk looks at every
//! multiple of 8 within it, nothing may be found there.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maildex::format::Uid;
use maildex::format::entry::{ALIGN, Entry, Seal};
use maildex::format::header::{Identity, Kind};
use maildex::maildir::summary::Summary;

use crate::mailbox::{Mailbox, figures, mail};
use crate::tally::Tally;

/// Above any that is given out here.
const FORGED_UID: u32 = 3_000_000_000;

/// The fields that an entry keeps.
const FIELDS: [&str; 7] = ["Subject", "From", "To", "Cc", "Message-ID", "In-Reply-To", "References"];

/// Ways to write any bytes in a field.
const CHARSETS: [&str; 8] =
    ["utf-8", "iso-8859-1", "windows-1252", "us-ascii", "utf-16le", "utf-7", "koi8-r", "x-unknown"];

fn index_file(mail: &Mailbox) -> Vec<u8> {
    fs::read(mail.file("maildex.index.1")).expect("read the index file")
}

fn identity(mail: &Mailbox) -> Identity {
    Identity::decode(Kind::Index, index_file(mail).first_chunk().expect("a record")).expect("a good header")
}

/// The bytes of an entry for a place in the file, with nothing wrong about them; for one where no entry can be, those of
/// the place before it.
fn forge(identity: &Identity, at: u64) -> Vec<u8> {
    let at = at / ALIGN * ALIGN;
    let summary = Summary { subject: "forged".into(), ..Summary::default() };
    let mut bytes = Vec::new();
    Entry::new(b"1.host", 0, 7, &summary).write(&mut bytes);
    let seal = Seal::new(&identity.id, identity.marker);
    seal.close(&mut bytes, at, Uid::new(FORGED_UID).expect("not 0"), 1);
    assert!(seal.open(&bytes, at).is_ok(), "as good as any");
    bytes
}

/// A field with any bytes, as they are or encoded; folded where a line must end.
fn field(name: &str, charset: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let mut field = format!("{name}: ").into_bytes();
    match charset {
        None => field.extend(bytes.iter().map(|&byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte })),
        Some(charset) if bytes.len().is_multiple_of(2) => {
            field.extend(format!("=?{charset}?B?{}?=", BASE64_STANDARD.encode(bytes)).bytes());
        }
        Some(charset) => {
            let hex = bytes.iter().map(|byte| format!("={byte:02X}")).collect::<Vec<_>>().concat();
            field.extend(format!("=?{charset}?Q?{hex}?=").bytes());
        }
    }
    field.push(b'\n');
    field
}

/// How often the marker stands behind the header page, at whatever alignment.
fn count(bytes: &[u8], marker: [u8; 8]) -> usize {
    bytes[4096..].windows(8).filter(|window| *window == marker).count()
}

/// A folder with such mails, in every field, written in every way, at every alignment. Returns how many.
fn attacked() -> (Mailbox, usize) {
    let mail = Mailbox::in_memory().messages(2);
    mail.run(["build"]).ok();
    let identity = identity(&mail);
    let mut mails = 2;
    for align in 0..ALIGN {
        for (n, name) in FIELDS.into_iter().enumerate() {
            // Where this one's entry begins, and in it the text, if nothing but the base name stands before it.
            let base = format!("{align}{n}.host");
            let text_at = (index_file(&mail).len() as u64).next_multiple_of(ALIGN) + 72 + base.len() as u64;
            let pad = text_at.next_multiple_of(ALIGN) - text_at + align;
            let bytes = [vec![b'x'; pad as usize], forge(&identity, text_at + pad)].concat();
            let charset = (n + align as usize) % (CHARSETS.len() + 1);
            let mut text = field(name, charset.checked_sub(1).map(|at| CHARSETS[at]), &bytes);
            // And the rest of the ways, behind it, in fields that the index does not keep.
            text.extend(CHARSETS.iter().flat_map(|charset| field("X-Other", Some(charset), &bytes)));
            text.extend_from_slice(b"\nhello\n");
            mail.deliver(format!("cur/{base}:2,"), &text);
            mail.run(["build"]).ok();
            mails += 1;
            assert_eq!(count(&index_file(&mail), identity.marker), mails, "{name} in {charset} at {align}");
        }
    }
    (mail, mails)
}

/// What is listed are the mails that are there; the next one gets the next UID, as far as anybody can tell.
#[track_caller]
fn assert_true(mail: &Mailbox, mails: usize) {
    let listed = mail.listed();
    assert_eq!(listed.len(), mails);
    let mut paths: Vec<_> = listed.iter().map(|(_, path)| path.clone()).collect();
    paths.sort();
    assert_eq!(paths, mail.mails().into_iter().map(|name| name.into_string().expect("text")).collect::<Vec<_>>());
    assert!(!mail.run(["list"]).ok().text().contains("\tforged\t"));
    mail.deliver("new/last.host", self::mail("the last one"));
    let uids = mail.run(["list", "--uids", "new"]).ok().text();
    assert!(uids.trim().parse::<u32>().expect("one UID") < FORGED_UID, "{uids}");
    mail.remove("new/last.host");
    mail.run(["build"]).ok();
    mail.run(["check", "--deep"]).ok();
    assert!(!mail.run(["dump", "--entries"]).ok().text().contains(&FORGED_UID.to_string()));
}

/// A bit of every so-manieth entry is wrong, so that nothing is told by its length.
fn damage_entries(mail: &Mailbox, every: usize) {
    let marker = identity(mail).marker;
    mail.edit("maildex.index.1", |bytes| {
        let begins: Vec<usize> = (4096..bytes.len() - 7).step_by(8).filter(|&at| bytes[at..at + 8] == marker).collect();
        for at in begins.into_iter().step_by(every) {
            bytes[at + 20] ^= 1;
        }
    });
}

#[test]
fn a_forged_entry_in_a_mail_is_never_taken_for_one() {
    let (mail, mails) = attacked();
    let before = mail.own_files();
    let before: Vec<_> = before.into_iter().collect();
    let back = || mail.put_back(&before);
    let uids = mail.run(["list", "--uids"]).ok().text();
    assert_true(&mail, mails);

    back();
    mail.remove("maildex.offsets");
    mail.run(["build"]).ok();
    mail.run(["list", "--uids"]).ok().stdout(&uids);
    assert_true(&mail, mails);

    back();
    damage_entries(&mail, 1);
    mail.run(["check"]).fails_with(1);
    assert!(!mail.run(["dump", "--entries"]).ok().text().contains(&FORGED_UID.to_string()));
    mail.run(["build", "--full"]).ok();
    mail.run(["list", "--uids"]).ok().stdout(&uids);
    assert_true(&mail, mails);

    back();
    damage_entries(&mail, 2);
    mail.remove("maildex.offsets");
    mail.run(["build"]).ok();
    assert_true(&mail, mails);

    back();
    damage_entries(&mail, 1);
    mail.remove("maildex.offsets");
    mail.run(["build"]).fails_with(3).stderr_has("nothing in the index proves which UIDs were given out");
    Tally::Damages.add(mails);
    figures(&format!(
        "forged entries: {} mails, {} of them at each of 8 alignments, none taken for one",
        mails,
        FIELDS.len()
    ));
}

/// The base name is the one string of an entry that may be no text.
#[test]
fn a_forged_entry_in_a_file_name_is_never_taken_for_one() {
    use std::os::unix::ffi::OsStringExt;
    let mail = Mailbox::in_memory().messages(1);
    mail.run(["build"]).ok();
    let identity = identity(&mail);
    for align in 0..ALIGN {
        let at = (index_file(&mail).len() as u64).next_multiple_of(ALIGN) + 72 + align;
        // A file name has no NUL and no slash, and flags begin at a colon.
        let fit = |byte: u8| if byte == 0 || byte == b'/' || byte == b':' { b'_' } else { byte };
        let forged = [vec![b'a'; align as usize], forge(&identity, at)].concat().into_iter().map(fit);
        let name = [b"cur/".to_vec(), forged.take(200).collect(), format!("{align}:2,").into_bytes()].concat();
        mail.deliver(std::ffi::OsString::from_vec(name), self::mail("x"));
        mail.run(["build"]).ok();
        assert_eq!(count(&index_file(&mail), identity.marker), 2 + align as usize);
    }
    damage_entries(&mail, 1);
    mail.run(["build", "--full"]).ok();
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    mail.assert_sound();
}
