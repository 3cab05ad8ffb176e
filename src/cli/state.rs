//! A file that remembers a token between two runs.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use maildex::Error;
use maildex::ops::changes::Token;

/// The file, and the one that is to take its place.
pub struct State {
    path: PathBuf,
    /// In the same directory; removed again if nothing comes of it.
    next: PathBuf,
    file: File,
    kept: bool,
}

impl State {
    /// Reads the token; none at all is that of who knows nothing yet. Also makes sure that another one can be kept, for
    /// it must not turn out that it cannot when everything has been told.
    pub fn open(path: &Path) -> Result<(State, Token), Error> {
        // A link stays one: the file that it leads to is replaced.
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let failed = |doing| move |source| Error::Io { path: path.to_path_buf(), doing, source };
        let none = || Error::Token { path: path.to_path_buf(), why: "this file holds none" };
        let token = match std::fs::read_to_string(path) {
            Ok(text) => Token::parse(text.trim_ascii()).ok_or_else(none)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Token::START,
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(none()),
            Err(error) => return Err(failed("cannot read")(error)),
        };
        let name = real.file_name().unwrap_or_default().to_string_lossy();
        let next = real.with_file_name(format!(".{name}.{}", std::process::id()));
        // One that a killed run left, or a link that somebody planted; it is removed, and never followed.
        let _ = std::fs::remove_file(&next);
        let file = File::create_new(&next).map_err(failed("cannot write beside"))?;
        Ok((State { path: real, next, file, kept: false }, token))
    }

    /// Keeps a token instead, durably and at once.
    pub fn keep(mut self, token: &Token) -> Result<(), Error> {
        let done = writeln!(self.file, "{token}")
            .and_then(|()| self.file.sync_all())
            .and_then(|()| std::fs::rename(&self.next, &self.path));
        self.kept = done.is_ok();
        done.map_err(|source| Error::Io { path: self.path.clone(), doing: "cannot write", source })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.next);
        }
    }
}
