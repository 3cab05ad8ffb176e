//! Words for a shell: what is printed to be pasted must mean what it says, whatever a path holds.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::cli::terminal;

/// A word of a command line for any POSIX shell, without a byte that a terminal would act upon.
pub fn quoted(word: &OsStr) -> String {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"_./:=@%+,-".contains(b);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.bytes().all(|b| is_plain(&b)) => text.into(),
        Some(text) if terminal::escaped(text) == text => format!("'{}'", text.replace('\'', r"'\''")),
        _ => octal(word.as_bytes()),
    }
}

/// A path of a directory as an argument: never taken for an option.
pub fn directory(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let mut path = if bytes.starts_with(b"-") { Path::new(".").join(path) } else { path.to_path_buf() };
    if bytes.ends_with(b"\n") {
        // A command substitution drops newlines at the end.
        path = path.join("");
    }
    quoted(path.as_os_str())
}

/// By way of printf, which makes bytes of what can be printed.
fn octal(bytes: &[u8]) -> String {
    let mut text = String::from("\"$(printf '");
    for &b in bytes {
        match b {
            b'%' => text += "%%",
            b if b.is_ascii_graphic() && !b"\\'".contains(&b) => text.push(b.into()),
            b => write!(text, "\\{b:03o}").expect("a String takes everything"),
        }
    }
    text + "')\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        for word in [
            &b"plain/path-1.0"[..],
            b"",
            b"two words",
            b"it's",
            b"$HOME `id` \"x\" \\ * ? ~",
            b"~",
            b"#",
            b"Gr\xc3\xbc\xc3\x9fe",
            b"Gr\xfc\xdfe",
            b"a\nb",
            b"\x1b[31m%s%d\\n'",
            b"\xe2\x80\xae",
            b"a\tb",
            b"100%",
            b"!x",
        ] {
            let quoted = quoted(OsStr::from_bytes(word));
            assert!(quoted.chars().all(|c| !c.is_control()), "{quoted:?}");
            let mut sh = std::process::Command::new("sh");
            let output = sh.args(["-c", &format!("printf %s {quoted}")]).output().expect("sh");
            assert_eq!(output.stdout, word, "{quoted}");
        }
        assert_eq!(quoted(OsStr::new("maildex-demo")), "maildex-demo");
        assert_eq!(directory(Path::new("-x")), "./-x");
        assert_eq!(directory(Path::new("x\n")), "\"$(printf 'x\\012/')\"");
    }
}
