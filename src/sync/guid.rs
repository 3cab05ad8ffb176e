//! The guid of a mail, which it has on every machine: from its name and its contents.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::state::Guid;
use crate::maildir::name::stem;

/// A guid in the making, for contents that come piece by piece.
#[derive(Debug, Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// For a mail of this base name. Only its text before the first comma counts, which programs that synchronise, and a
    /// move to another folder, leave as it is.
    pub fn new(base: &[u8]) -> Hasher {
        let mut hash = Sha256::new();
        hash.update(stem(base));
        hash.update([0]);
        Hasher(hash)
    }

    /// Takes the next bytes of the contents.
    pub fn update(&mut self, contents: &[u8]) {
        self.0.update(contents);
    }

    /// The guid of a mail with all these contents.
    pub fn finish(self) -> Guid {
        let hash = self.0.finalize();
        let mut guid = [0; 16];
        guid.copy_from_slice(&hash[..16]);
        Guid(guid)
    }
}

/// The guid of a mail that is read to its end.
pub fn of(base: &[u8], contents: &mut dyn Read) -> io::Result<Guid> {
    let mut hasher = Hasher::new(base);
    let mut piece = vec![0; 32 << 10];
    loop {
        match contents.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(len) => hasher.update(&piece[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_of_name_and_contents() {
        let guid = |base: &str, mut contents: &[u8]| of(base.as_bytes(), &mut contents).unwrap().to_string();
        // printf '1.a\0hello\n' | sha256sum
        assert_eq!(guid("1.a", b"hello\n"), "585278548a48dee46c683a7a26ad0dc5");
        assert_eq!(guid("1.a,U=7,S=6", b"hello\n"), guid("1.a", b"hello\n"));
        assert_ne!(guid("1.b", b"hello\n"), guid("1.a", b"hello\n"));
        assert_ne!(guid("1.a", b"hello"), guid("1.a", b"hello\n"));
        let long = vec![b'x'; 100_000];
        assert_eq!(guid("1.a", &long), {
            let mut hasher = Hasher::new(b"1.a");
            long.chunks(7).for_each(|piece| hasher.update(piece));
            hasher.finish().to_string()
        });
    }
}
