//! How replicas, mails and folders are named: hexadecimal digits of a fixed length, and nothing else, so that they can be
//! paths in a tree of git.

use std::fmt;

use sha2::{Digest, Sha256};

use super::state::{FolderId, Guid, ReplicaId};

impl ReplicaId {
    /// One that nobody else has.
    pub fn random() -> ReplicaId {
        ReplicaId(u64::from_be_bytes(crate::system::random()))
    }

    /// Of 16 hexadecimal digits.
    pub fn parse(text: &[u8]) -> Option<ReplicaId> {
        bytes(text).map(|bytes| ReplicaId(u64::from_be_bytes(bytes)))
    }
}

impl FolderId {
    /// Of a path below the mail root; empty for the root itself.
    pub fn of(name: &[u8]) -> FolderId {
        let hash = Sha256::digest(name);
        FolderId(hash.iter().take(8).fold(0, |id, &byte| id << 8 | u64::from(byte)))
    }

    /// Of 16 hexadecimal digits.
    pub fn parse(text: &[u8]) -> Option<FolderId> {
        bytes(text).map(|bytes| FolderId(u64::from_be_bytes(bytes)))
    }
}

impl Guid {
    /// Of 32 hexadecimal digits.
    pub fn parse(text: &[u8]) -> Option<Guid> {
        bytes(text).map(Guid)
    }

    /// Which of the 256 shards it is in.
    pub const fn shard(self) -> u8 {
        self.0[0]
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for FolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Bytes of lower-case hexadecimal digits; capitals are another path in git, so they are none.
pub(super) fn bytes<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    const fn digit(byte: u8) -> Option<u8> {
        match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        }
    }
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hex_of_one_length() {
        let guid = Guid::parse(b"00ff0123456789abcdef0123456789ab").unwrap();
        assert_eq!((guid.to_string().as_str(), guid.shard()), ("00ff0123456789abcdef0123456789ab", 0));
        assert_eq!(ReplicaId::parse(b"000000000000000a"), Some(ReplicaId(10)));
        assert_eq!(FolderId::parse(FolderId(7).to_string().as_bytes()), Some(FolderId(7)));
        for bad in [
            "",
            "a",
            "000000000000000A",
            "00000000000000a",
            "000000000000000aa",
            "../0000000000000",
            "000000000000000 ",
        ] {
            assert_eq!(ReplicaId::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_folder_is_known_by_its_path() {
        // sha256sum of nothing, and of "Sent"
        assert_eq!(FolderId::of(b"").to_string(), "e3b0c44298fc1c14");
        assert_eq!(FolderId::of(b"Sent").to_string(), "c16bc82bf1f04ede");
    }
}
