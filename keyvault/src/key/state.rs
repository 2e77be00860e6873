//! States of keys and of their versions (NIST SP 800-57 part 1 rev. 5, 7): which lead where, and what each allows.

use std::fmt;

/// What a key or a version of it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyState {
    /// Made, and not yet to be used (7.1).
    PreActivation,
    /// Protects, and undoes what it protected (7.2).
    Active,
    /// Does nothing for a while (7.3).
    Suspended,
    /// Protects no more; undoes and verifies what it protected (7.4).
    Deactivated,
    /// Others may have it: it protects no more, and what it protected is to be looked at with suspicion (7.5).
    Compromised,
    /// Its material is no more (7.6).
    Destroyed,
}

/// What is wanted of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Encrypting, signing, making MACs: originator usage (5.3.5).
    Protect,
    /// Decrypting, verifying: recipient usage.
    Process,
}

impl KeyState {
    /// All, in the standard's order.
    pub const ALL: [Self; 6] =
        [Self::PreActivation, Self::Active, Self::Suspended, Self::Deactivated, Self::Compromised, Self::Destroyed];

    /// By its word, as in the API and in the database.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// As in the API and in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::PreActivation => "pre_activation",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deactivated => "deactivated",
            Self::Compromised => "compromised",
            Self::Destroyed => "destroyed",
        }
    }

    /// States that may follow. Nothing leads back to before the activation, out of destruction, or from a compromise to anything but that.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::PreActivation => &[Self::Active, Self::Compromised, Self::Destroyed],
            Self::Active => &[Self::Suspended, Self::Deactivated, Self::Compromised, Self::Destroyed],
            Self::Suspended => &[Self::Active, Self::Deactivated, Self::Compromised, Self::Destroyed],
            Self::Deactivated => &[Self::Compromised, Self::Destroyed],
            Self::Compromised => &[Self::Destroyed],
            Self::Destroyed => &[],
        }
    }

    /// Whether a key in this state may be used so.
    pub(crate) fn allows(self, wanted: Use) -> bool {
        match self {
            Self::Active => true,
            Self::Deactivated | Self::Compromised => wanted == Use::Process,
            Self::PreActivation | Self::Suspended | Self::Destroyed => false,
        }
    }

    /// What it still does, for refusals.
    pub(crate) fn does(self) -> &'static str {
        match self {
            Self::Active => "protects and undoes what it protected",
            Self::Deactivated | Self::Compromised => "decrypts and verifies only",
            Self::PreActivation | Self::Suspended | Self::Destroyed => "does nothing",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is asked in whatever order: what was compromised is never trusted again, what was destroyed is never there again, and what was
        /// deactivated never protects again.
        #[test]
        fn no_path_leads_back_to_trust(start in 0usize..2, asked in prop::collection::vec(0usize..6, 0..40)) {
            let mut state = KeyState::ALL[start];
            let mut seen = vec![state];
            for wanted in asked.into_iter().map(|index| KeyState::ALL[index]) {
                if state.next().contains(&wanted) {
                    prop_assert_ne!(state, wanted, "a state does not follow itself");
                    state = wanted;
                    seen.push(state);
                }
                let was = |past: KeyState| seen.contains(&past);
                prop_assert!(!was(KeyState::Destroyed) || !(state.allows(Use::Protect) || state.allows(Use::Process)));
                prop_assert!(!was(KeyState::Compromised) || !state.allows(Use::Protect));
                prop_assert!(!was(KeyState::Compromised) || matches!(state, KeyState::Compromised | KeyState::Destroyed));
                prop_assert!(!was(KeyState::Deactivated) || !state.allows(Use::Protect));
                prop_assert!(!state.allows(Use::Protect) || state.allows(Use::Process), "who protects can undo it");
                prop_assert!(!(seen.len() > 1 && state == KeyState::PreActivation), "nothing is made anew");
            }
            prop_assert!(state == KeyState::Destroyed || state.next().contains(&KeyState::Destroyed));
        }
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for state in KeyState::ALL {
            assert_eq!(KeyState::parse(state.word()), Some(state));
        }
        assert_eq!(KeyState::parse("Active"), None);
    }

    #[test]
    fn each_state_allows_what_the_standard_says() {
        let allowed = |state: KeyState| (state.allows(Use::Protect), state.allows(Use::Process));
        assert_eq!(
            KeyState::ALL.map(allowed),
            [(false, false), (true, true), (false, false), (false, true), (false, true), (false, false)]
        );
    }
}
