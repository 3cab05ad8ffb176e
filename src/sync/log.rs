//! What has changed between two states, a line for each change, for `log/<replica>/<n>`. This is the specification.
//!
//! | line | says |
//! |---|---|
//! | `folder`, id, as in `head` | this is known of the folder; under another UIDVALIDITY all its numbers are void |
//! | `gone`, guid | the mail is in no folder |
//! | `mail`, as in `s/` | this is known of the mail |
//! | `flag`, guid, flags | these are its flags now |
//! | `dead`, folder, UID | the number is dead |
//! | `uid`, folder, UID, guid | the number is of the mail; UIDNEXT is above it |
//!
//! Lines are applied in their order. `f/` and `s/` are written anew when there are more than [`LOG_MAX`] bytes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::join::pairs;
use super::state::{Folder, State};
use super::text::{
    Bad, BadFile, MAILS_MAX, folder_id, guid, lines, parse_flags, parse_head, parse_mail, print_flags, print_head,
    print_mail, put, two, uid,
};
use crate::uidlist::excerpt;

/// The most bytes in all files of a log.
pub const LOG_MAX: usize = 64 << 10;

/// The lines that make `new` of `old`; none if they would be longer than [`LOG_MAX`].
pub fn between(old: &State, new: &State) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for (id, before, now) in pairs(&old.folders, &new.folders) {
        let now = now?; // What is known of a folder stays for ever; if not, only a new snapshot can say so.
        let is_told = |before: &Folder| {
            let next = now.uids.last_key_value().map_or(0, |(last, _)| last + 1).max(before.uid_next);
            (&before.name, &before.dots, before.uid_validity, next)
                == (&now.name, &now.dots, now.uid_validity, now.uid_next)
        };
        if !before.is_some_and(is_told) {
            put(&mut text, format_args!("folder\t{id}\t"));
            print_head(&mut text, now);
            text.push(b'\n');
        }
    }
    for (id, before, now) in pairs(&old.mails, &new.mails) {
        match (before, now) {
            (Some(_), None) => put(&mut text, format_args!("gone\t{id}\n")),
            (Some(before), Some(now))
                if (&before.places, &before.base, before.delivered) == (&now.places, &now.base, now.delivered) =>
            {
                if before.flags != now.flags {
                    put(&mut text, format_args!("flag\t{id}\t"));
                    print_flags(&mut text, &now.flags);
                    text.push(b'\n');
                }
            }
            (_, Some(now)) => {
                put(&mut text, format_args!("mail\t"));
                print_mail(&mut text, *id, now);
                text.push(b'\n');
            }
            (None, None) => {}
        }
        if text.len() > LOG_MAX {
            return None;
        }
    }
    for (id, folder) in &new.folders {
        let none = BTreeMap::new();
        let before = old.folders.get(id).filter(|before| before.uid_validity == folder.uid_validity);
        for (number, before, now) in pairs(before.map_or(&none, |before| &before.uids), &folder.uids) {
            match (before, now) {
                (Some(_), None) => put(&mut text, format_args!("dead\t{id}\t{number}\n")),
                (before, Some(now)) if before != Some(now) => {
                    put(&mut text, format_args!("uid\t{id}\t{number}\t{now}\n"));
                }
                _ => {}
            }
            if text.len() > LOG_MAX {
                return None;
            }
        }
    }
    Some(text)
}

/// Makes of a state what the lines of a log say.
pub fn apply(file: &str, text: &[u8], state: &mut State) -> Result<(), BadFile> {
    lines(file, text, |line| {
        let (kind, rest) = two(line, "a word, a tab, and more")?;
        match kind {
            b"folder" => {
                let (id, head) = two(rest, "a folder, a tab, and more")?;
                let id = folder_id(id)?;
                let mut folder = parse_head(id, head)?;
                if let Some(known) = state.folders.remove(&id).filter(|known| known.uid_validity == folder.uid_validity)
                {
                    folder.uids = known.uids;
                }
                state.folders.insert(id, folder);
            }
            b"gone" => {
                let guid = guid(rest)?;
                state.mails.remove(&guid).ok_or_else(|| unknown(rest, "a mail that is known"))?;
            }
            b"mail" => {
                let (guid, mail) = parse_mail(rest)?;
                state.mails.insert(guid, Arc::new(mail));
                if state.mails.len() > MAILS_MAX {
                    return Err((format!("more than {MAILS_MAX} mails"), "fewer".into()));
                }
            }
            b"flag" => {
                let (name, flags) = two(rest, "a guid, a tab, and flags")?;
                let mail = state.mails.get_mut(&guid(name)?).ok_or_else(|| unknown(name, "a mail that is known"))?;
                Arc::make_mut(mail).flags = parse_flags(flags)?;
            }
            b"dead" => {
                let (id, number) = two(rest, "a folder, a tab, and a UID")?;
                let folder =
                    state.folders.get_mut(&folder_id(id)?).ok_or_else(|| unknown(id, "a folder that is known"))?;
                let number = uid(number, "a UID")?;
                folder.uids.remove(&number).ok_or_else(|| unknown(rest, "a UID that was live"))?;
            }
            b"uid" => {
                let expected = "a folder, a UID and a guid, separated by tabs";
                let (id, rest) = two(rest, expected)?;
                let (number, name) = two(rest, expected)?;
                let folder =
                    state.folders.get_mut(&folder_id(id)?).ok_or_else(|| unknown(id, "a folder that is known"))?;
                let number = uid(number, "a UID").and_then(|number| match number {
                    u32::MAX => Err((number.to_string(), "a UID that another can follow".into())),
                    _ => Ok(number),
                })?;
                folder.uids.insert(number, guid(name)?);
                folder.uid_next = folder.uid_next.max(number + 1);
            }
            _ => return Err((excerpt(kind), "folder, gone, mail, flag, dead or uid".into())),
        }
        Ok(())
    })
}

fn unknown(found: &[u8], expected: &str) -> Bad {
    (excerpt(found), expected.into())
}
