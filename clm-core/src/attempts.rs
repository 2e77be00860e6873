//! Trying anew what others were quicker with.

use crate::error::Error;
use crate::store::StoreError;

/// How often something is tried, at most.
const MOST: u32 = 3;

/// Tries of one change.
#[derive(Debug, Default)]
pub(crate) struct Attempts(u32);

impl Attempts {
    /// Whether to try it anew, after a try that ended so: others changed or deleted a row that it rests on, or wrote one with the same name. Another
    /// try reads what there is by then.
    pub(crate) fn again(&mut self, error: &Error) -> bool {
        self.0 += 1;
        self.0 < MOST && matches!(error, Error::Conflict(_) | Error::Database(StoreError::Taken { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_overtook_is_tried_anew_and_not_for_ever() {
        let taken = || Error::Database(StoreError::Taken { constraint: "entities_name".into() });
        let mut attempts = Attempts::default();
        assert!(attempts.again(&Error::Conflict("entity")));
        assert!(attempts.again(&taken()));
        assert!(!attempts.again(&Error::Conflict("entity")));
        for other in [Error::invalid("no"), Error::Database(StoreError::Malformed("no"))] {
            assert!(!Attempts::default().again(&other), "{other}");
        }
    }
}
