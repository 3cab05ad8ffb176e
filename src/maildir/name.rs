//! The file name of a mail: base, separator, flags. Names are bytes, not text.
//!
//! A mail is known by its base name, which stays when its flags change
//! (<https://cr.yp.to/proto/maildir.html>): everything before the first `:`. File systems without colons get `;` or
//! `!` instead, and then only where `2,` follows. Of what comes after the base only the letters between `2,` and the
//! next comma are flags; everything else belongs to other programs and is kept byte for byte.

use crate::maildir::flags::Flags;

/// A file name taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// What the mail is known by.
    pub base: &'a [u8],
    /// What follows the base, from its separator on; empty if nothing does.
    pub info: &'a [u8],
    /// The flag letters in the info.
    pub flags: Flags,
}

impl<'a> Name<'a> {
    /// Takes a file name of `new/` or `cur/` apart.
    pub fn parse(name: &'a [u8]) -> Name<'a> {
        let (base, info) = name.split_at(base_len(name));
        let flags = info.get(1..).and_then(|rest| rest.strip_prefix(b"2,")).map_or(Flags::NONE, |letters| {
            let letters = letters.split(|&b| b == b',').next().unwrap_or_default();
            letters.iter().filter_map(|&l| Flags::letter(l)).fold(Flags::NONE, Flags::union)
        });
        Name { base, info, flags }
    }

    /// Whether the name has no info at all, as most names in `new/`.
    pub fn is_bare(&self) -> bool {
        self.info.is_empty()
    }

    /// Whether base and flags give the name back: no info, or `:2,` and the letters sorted, each once.
    pub fn is_canonical(&self) -> bool {
        self.is_bare()
            || self.info.strip_prefix(b":2,").is_some_and(|letters| {
                letters.iter().all(u8::is_ascii_alphabetic) && letters.is_sorted_by(|a, b| a < b)
            })
    }
}

/// The name that base and flags give; `bare` for one without info.
pub fn canonical(base: &[u8], flags: Flags, bare: bool) -> Vec<u8> {
    let mut name = Vec::with_capacity(base.len() + 3 + 8);
    name.extend_from_slice(base);
    if !bare {
        name.extend_from_slice(b":2,");
        name.extend(flags.letters().map(|letter| letter as u8));
    }
    name
}

/// The base name of any file name or bare base.
pub fn base_of(name: &[u8]) -> &[u8] {
    &name[..base_len(name)]
}

fn base_len(name: &[u8]) -> usize {
    memchr::memchr(b':', name)
        .or_else(|| name.windows(3).position(|at| at == b";2," || at == b"!2,"))
        .unwrap_or(name.len())
}

/// The part of a base name that survives renames by synchronising programs: what stands before its first comma
/// (mbsync puts `,U=17` there, Dovecot `,S=1234`).
pub fn stem(base: &[u8]) -> &[u8] {
    &base[..memchr::memchr(b',', base).unwrap_or(base.len())]
}

/// What stands behind the first comma of a base name and is true of the mail in any folder: its sizes, `,S=` and `,W=`
/// (Dovecot). Not `,U=` and `,FMD5=`, which programs that synchronise put there for one folder.
pub fn own_fields(base: &[u8]) -> Vec<u8> {
    let fields = base[stem(base).len()..].split(|&b| b == b',').skip(1);
    let own = fields.filter(|field| field.starts_with(b"S=") || field.starts_with(b"W="));
    own.flat_map(|field| [b",", field].concat()).collect()
}

/// The name with its flag letters sorted, each once, if they are not; everything else stays byte for byte. `None` if
/// nothing is to be done, or if there is something else than letters among them.
pub fn in_order(name: &[u8]) -> Option<Vec<u8>> {
    let (base, info) = name.split_at(base_len(name));
    let rest = info.get(1..)?.strip_prefix(b"2,")?;
    let (letters, behind) = rest.split_at(memchr::memchr(b',', rest).unwrap_or(rest.len()));
    if !letters.iter().all(u8::is_ascii_alphabetic) || letters.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let mut letters = letters.to_vec();
    letters.sort_unstable();
    letters.dedup();
    Some([base, &info[..3], &letters, behind].concat())
}

/// Orders mail by arrival: the number at the start of a base name is its delivery time in seconds.
pub fn arrival(base: &[u8]) -> (u64, &[u8]) {
    let digits = base.iter().take_while(|b| b.is_ascii_digit()).count();
    let seconds = base[..digits].iter().try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')));
    (seconds.unwrap_or(u64::MAX), base)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, base, flags, canonical.
    const NAMES: &[(&[u8], &[u8], &str, bool)] = &[
        (b"x", b"x", "", true),
        (b"x:2,", b"x", "", true),
        (b"x:2,FS", b"x", "FS", true),
        (b"x:2,SF", b"x", "FS", false),
        (b"x:2,SS", b"x", "S", false),
        (b"x:2,Sab", b"x", "Sab", true),
        (b"x:2,aS", b"x", "Sa", false),
        (b"x:2,S,ext", b"x", "S", false),
        (b"x:2,,S", b"x", "", false),
        (b"x:2,S1F", b"x", "FS", false),
        (b"x:2", b"x", "", false),
        (b"x:", b"x", "", false),
        (b"x:1,foo", b"x", "", false),
        (b"x;2,S", b"x", "S", false),
        (b"x!2,RS", b"x", "RS", false),
        (b"x;S", b"x;S", "", true),
        (b"a!b;c", b"a!b;c", "", true),
        (b"x,S=12:2,S:2,F", b"x,S=12", "S", false),
        (b"\xff\xfe:2,T", b"\xff\xfe", "T", true),
        (b":2,S", b"", "S", true),
        (b"", b"", "", true),
    ];

    #[test]
    fn names_come_apart_as_the_maildir_page_says() {
        for &(name, base, flags, is_canonical) in NAMES {
            let parsed = Name::parse(name);
            assert_eq!((parsed.base, parsed.flags.to_string().as_str()), (base, flags), "{}", name.escape_ascii());
            assert_eq!(parsed.is_canonical(), is_canonical, "{}", name.escape_ascii());
            assert_eq!(base_of(name), base);
        }
    }

    #[test]
    fn a_canonical_name_is_given_back_and_no_other() {
        for &(name, ..) in NAMES {
            let parsed = Name::parse(name);
            let back = canonical(parsed.base, parsed.flags, parsed.is_bare());
            assert_eq!(back == name, parsed.is_canonical(), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn letters_are_put_in_order_and_nothing_else() {
        let names: [(&[u8], Option<&[u8]>); 9] = [
            (b"x:2,SF", Some(b"x:2,FS")),
            (b"x:2,SS", Some(b"x:2,S")),
            (b"x;2,aSa,k=v", Some(b"x;2,Sa,k=v")),
            (b"x:2,FS", None),
            (b"x:2,", None),
            (b"x", None),
            (b"x:1,SF", None),
            (b"x:2,S1F", None),
            (b"x:2", None),
        ];
        for (name, expected) in names {
            assert_eq!(in_order(name).as_deref(), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn arrival_order_is_by_number_not_by_text() {
        let mut bases: Vec<&[u8]> = vec![b"10.b", b"9.a", b"x", b"10.a", b"99999999999999999999.a"];
        bases.sort_by_key(|base| arrival(base));
        assert_eq!(bases, [b"x".as_slice(), b"9.a", b"10.a", b"10.b", b"99999999999999999999.a"]);
        assert_eq!(stem(b"1.a,U=7,S=9"), b"1.a");
    }
}
