//! What holds for every folder that a verb opens: options before the verb, and the environment.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use maildex::Error;
use maildex::folder::{Folder, Setting};

/// Ids of locks that are held for this process, separated by blanks.
pub const LOCK_IDS: &str = "MAILDEX_LOCK";

/// Where the files are that maildex keeps of a folder.
pub const INDEX_DIR: &str = "MAILDEX_INDEX_DIR";

static SETTING: OnceLock<Setting> = OnceLock::new();

/// Takes up the environment; once, before any folder is opened.
pub fn set(index_dir: Option<&Path>) {
    let named = std::env::var_os(INDEX_DIR).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let index_dir = index_dir.map(Path::to_path_buf).or(named);
    let lock_ids = std::env::var_os(LOCK_IDS).unwrap_or_default();
    let lock_ids = lock_ids.to_string_lossy().split_whitespace().map(str::to_string).collect();
    let _ = SETTING.set(Setting { index_dir, lock_ids });
}

/// What was taken up.
pub fn get() -> &'static Setting {
    SETTING.get_or_init(Setting::default)
}

/// Opens a folder; what every verb does instead of [`Folder::open`].
pub fn open(path: &Path) -> Result<Folder, Error> {
    Folder::open_with(path, get())
}

/// The directory of the index files, as other processes can find it.
pub fn index_dir() -> Option<PathBuf> {
    let dir = SETTING.get()?.index_dir.as_ref()?;
    Some(std::path::absolute(dir).unwrap_or_else(|_| dir.clone()))
}

/// The ids of the locks that are held for us.
pub fn lock_ids() -> &'static [String] {
    SETTING.get().map_or(&[], |setting| &setting.lock_ids)
}

/// Whether the program was made set-user-ID or set-group-ID. Whoever calls it says where files are to be read and written.
pub fn has_foreign_rights() -> bool {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    getuid() != geteuid() || getgid() != getegid()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// A verb that opens a folder on its own knows neither `--index-dir` nor the locks that are held for it.
    #[test]
    fn every_verb_opens_folders_by_this() {
        let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli")];
        while let Some(path) = todo.pop() {
            if path.is_dir() {
                todo.extend(fs::read_dir(path).expect("list").map(|entry| entry.expect("an entry").path()));
            } else if !path.ends_with("setting.rs") {
                let text = fs::read_to_string(&path).expect("read");
                assert!(!text.contains("Folder::open"), "{}: use setting::open", path.display());
            }
        }
    }
}
