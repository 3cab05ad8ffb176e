//! Messages named one by one: by UID, by path, by base name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::query::uidset::UidSet;

/// How a message is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageRef {
    /// Digits, `,`, `:`, `*`: a UID set.
    Uids(UidSet),
    /// With a `/`: a path, relative to the working directory. The flags in it may be old.
    Path(PathBuf),
    /// Anything else: a base name, with or without flags.
    Base(Vec<u8>),
}

impl MessageRef {
    /// As it was given, but for UID sets; for messages.
    pub(crate) fn as_path(&self) -> &Path {
        match self {
            MessageRef::Uids(_) => Path::new("a UID set"),
            MessageRef::Path(path) => path,
            MessageRef::Base(base) => Path::new(OsStr::from_bytes(base)),
        }
    }

    /// Reads one.
    pub fn parse(text: &OsStr) -> Result<MessageRef> {
        let bytes = text.as_bytes();
        Ok(if UidSet::looks_like(bytes) {
            MessageRef::Uids(UidSet::parse(text.to_str().unwrap_or_default())?)
        } else if bytes.contains(&b'/') {
            MessageRef::Path(text.into())
        } else {
            MessageRef::Base(bytes.to_vec())
        })
    }
}
