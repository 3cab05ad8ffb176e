//! Changes of flags: in a file name nothing but the letters that were asked for changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maildex::maildir::change::FlagChange;
use maildex::maildir::flags::Flags;
use maildex::maildir::keywords::Keywords;
use maildex::maildir::name::Name;

const ALL: &[u8] = b"x:2,ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |&byte| byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (spec, name, keywords) = (String::from_utf8_lossy(part()), part(), Keywords::parse(part()));
    let Ok(change) = FlagChange::parse(&spec, &keywords) else { return };
    let flags = |name: &[u8]| Name::parse(name).flags;
    // What it sets is what it gives to a name without flags, and what it clears is missing where all were.
    let set = flags(&change.edit(b"x:2,", false).expect("a short name"));
    let kept = flags(&change.edit(ALL, false).expect("a short name"));
    let clear = flags(ALL).without(kept);
    assert!(set.without(clear) == set && change.sets() == (set != Flags::NONE));
    for info in [false, true] {
        let Ok(edited) = change.edit(name, info) else { continue };
        let (old, new) = (Name::parse(name), Name::parse(&edited));
        assert_eq!(new.base, old.base);
        assert!(edited.len() <= 255.max(name.len()));
        assert_eq!(new.flags, old.flags.union(set).without(clear));
        assert_eq!(change.edit(&edited, info).expect("it was edited before"), edited, "once is enough");
        // Bytes that are no letters, or letters that nobody asked for, stay as they are and where they are.
        let others = |name: &[u8]| -> Vec<u8> {
            let asked = set.union(clear);
            let is_asked = |byte: &u8| Flags::letter(*byte).is_some_and(|flag| asked.contains(flag));
            name.iter().filter(|byte| !is_asked(byte)).copied().collect()
        };
        let (old_info, new_info) = (others(old.info), others(new.info));
        assert!(new_info == old_info || (old.info.is_empty() && new_info == b":2,"), "{old_info:?} {new_info:?}");
    }
});
