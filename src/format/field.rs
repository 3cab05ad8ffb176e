//! The fields of our files by name, for whoever shows or compares them one by one. Each table of these stands beside the
//! struct that it describes, and takes its offsets from there.

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in the table of the format.
    pub name: &'static str,
    /// Where it begins, in bytes from the start of what it is in.
    pub at: usize,
    /// How many bytes it takes.
    pub len: usize,
    /// How its bytes are to be read.
    pub form: Form,
}

/// How the bytes of a field are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Letters.
    Text,
    /// Bytes that are no number.
    Bytes,
    /// A checksum, or a hash: a number that is written in hexadecimal digits.
    Hex,
    /// A number, little-endian.
    Unsigned,
    /// The same with a sign.
    Signed,
    /// A [`Number`](super::word::Number): 54 bits and their checksum.
    Number,
    /// A number of which each bit has a meaning.
    Bits,
    /// Not used: zeros.
    Zero,
}

impl Field {
    /// One that is read in this form.
    pub const fn new(name: &'static str, at: usize, len: usize, form: Form) -> Field {
        Field { name, at, len, form }
    }

    /// Its bytes; `None` where what it is in ends before.
    pub fn of<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        bytes.get(self.at..self.at + self.len)
    }
}

/// Whether the fields of a table stand one behind the other, from one place to another, with nothing in between.
pub(crate) const fn are_whole(fields: &[Field], from: usize, to: usize) -> bool {
    let (mut at, mut n) = (from, 0);
    while n < fields.len() {
        if fields[n].at != at {
            return false;
        }
        at += fields[n].len;
        n += 1;
    }
    at == to
}
