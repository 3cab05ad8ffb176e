//! The entries against the mail itself, read again.

use super::folder::Matches;
use super::{Check, Row};
use crate::error::{Damage, Result};
use crate::format::SlotNo;
use crate::format::entry::{Entry, Seal};
use crate::format::header::HEADER_LEN;
use crate::maildir::{Sub, is_same_time};
use crate::refresh::read::{Mail, Outcome, Request, Subs, read_all};

/// Text longer than this is cut where it is shown.
const SHOWN: usize = 60;

/// What came of reading a mail again: what is to be told of it.
enum Again {
    /// A field of the entry, what it holds, and what the mail says.
    Field(&'static str, String, String),
    /// What is worth a note.
    Note(&'static str, String),
}

impl Check<'_> {
    pub(super) fn deep(&mut self, matches: &Matches) -> Result<()> {
        let maildir = self.folder.maildir();
        let dirs: Subs = Sub::ALL.map(|sub| maildir.sub(sub).ok());
        let request = |position: usize| {
            let (_, place) = &matches.found[position];
            Request { sub: place.sub, name: matches.names.listed(place).name }
        };
        let mut told = Vec::new();
        read_all(&dirs, &request, matches.found.len(), |position, outcome| {
            let (no, place) = &matches.found[position];
            self.read_again(*no, outcome, &mut told);
            let path = maildir.path_of(place.sub, matches.names.listed(place).name);
            for (at, uid, again) in told.drain(..) {
                match again {
                    Again::Field(field, found, expected) => {
                        let what = format!("{field} of the entry of UID {uid}");
                        let damage = Damage { path: self.index.index_path(), at, what, found, expected };
                        self.damage("mail", damage);
                    }
                    Again::Note(kind, what) => {
                        let hint = Some(format!("{} --full", self.build()));
                        self.note_with(kind, path.clone(), None, what, hint);
                    }
                }
            }
            Ok(true)
        })
    }

    fn read_again(&self, no: SlotNo, outcome: Outcome<'_>, told: &mut Vec<(u64, u32, Again)>) {
        let Some(row @ Row { uid: Some(uid), .. }) = Row::load(&self.index, no) else { return };
        let mut copy = Vec::new();
        let Some(Ok(entry)) = self.index.entry(row.entry_at, &mut copy) else { return }; // told of the slot
        if entry.uid != uid {
            return;
        }
        let mut tell = |again| told.push((row.entry_at, uid.get(), again));
        match outcome {
            // Renamed or removed since it was listed.
            Outcome::Vanished | Outcome::NotMail => {}
            Outcome::Unreadable(errno, _) => {
                let error = std::io::Error::from(errno);
                tell(Again::Note("unreadable", format!("UID {uid} cannot be read: {error}")));
            }
            Outcome::Read(_) if entry.unreadable => {
                tell(Again::Note("unreadable", format!("UID {uid} can be read by now, and its entry says nothing")));
            }
            Outcome::Read(mut mail) => compare(&entry, &mut mail, &mut tell),
        }
    }
}

/// A mail that was changed in place is another mail, which only `build --full` sees. If it is the one that was indexed,
/// every field must be as it is read now.
fn compare(entry: &Entry<'_>, mail: &mut Mail<'_>, tell: &mut impl FnMut(Again)) {
    let uid = entry.uid;
    if mail.size != entry.size
        || (mail.header_crc != entry.header_crc && !is_same_time(mail.received_ns, entry.received_ns))
    {
        let what = format!(
            "UID {uid} was changed in place since it was indexed: {} bytes, header crc {:#010x}, and the index has {} and {:#010x}",
            mail.size, mail.header_crc, entry.size, entry.header_crc
        );
        return tell(Again::Note("changed-mail", what));
    }
    // Any seal does to read the bytes of an entry that was just made.
    let seal = Seal::new(&[0; 16], [0; 8]);
    seal.close(mail.entry, HEADER_LEN as u64, uid, entry.added);
    let Ok(now) = seal.open(mail.entry, HEADER_LEN as u64) else { return };
    let date = |date: Option<i64>| date.map_or("none".to_string(), |date| date.to_string());
    let fields = [
        ("header crc", format!("{:#010x}", entry.header_crc), format!("{:#010x}", now.header_crc)),
        ("date", date(entry.date), date(now.date)),
        ("subject", text(entry.subject), text(now.subject)),
        ("from", text(entry.from), text(now.from)),
        ("to", text(entry.to), text(now.to)),
        ("cc", text(entry.cc), text(now.cc)),
        ("message id", text(entry.message_id), text(now.message_id)),
        ("in-reply-to", text(entry.in_reply_to), text(now.in_reply_to)),
        ("references", text(entry.references), text(now.references)),
        ("cut fields", cut(entry), cut(&now)),
    ];
    for (field, is, should) in fields.into_iter().filter(|(_, is, should)| is != should) {
        tell(Again::Field(field, shorten(&is), shorten(&should)));
    }
}

fn text(text: &str) -> String {
    format!("{text:?}")
}

fn cut(entry: &Entry<'_>) -> String {
    entry.cut.names().collect::<Vec<_>>().join(" ")
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.into();
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}
