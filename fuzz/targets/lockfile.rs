//! The text of a lockfile, which anybody may have written: what is shown of it does nothing to a terminal, and what was
//! understood is written and understood again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maildex::lock::{Behalf, Owner, State};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Some(owner) = Owner::parse(&text) else { return };
    let is_plain = |text: &str| text.len() < 4096 && !text.chars().any(|c| c.is_control() || c == '\u{202e}');
    for state in [State::Running, State::Stopped, State::Elsewhere, State::Ended(Vec::new())] {
        let sentence = Owner { state, ..owner.clone() }.to_string();
        assert!(is_plain(&sentence), "{sentence:?}");
    }
    let Owner { id, host, boot_id, reason, command, behalf, .. } = &owner;
    let guarded = behalf.as_ref().map_or("", |Behalf { command, .. }| command);
    let values = [id, host, boot_id, reason, command, guarded];
    assert!(values.iter().all(|value| is_plain(value)), "{owner:?}");
    let _ = owner.is_near();
    // Longer ones are cut again.
    if values.iter().all(|value| value.len() < 800) {
        let again = Owner::parse(&owner.text()).expect("what we write");
        assert_eq!(Owner { held_s: owner.held_s, ..again }, owner);
    }
});
