//! Validate: the user's validators accept or refuse the version before anything is written. All are asked.

use std::sync::Arc;

use cenote_state::ids::Timestamp;
use cenote_state::record::Binding;
use cenote_state::view::View;

use super::verify::Verified;
use crate::validators::{ValidationError, Validator, ask_all};

/// A change that every validator accepted.
pub(crate) struct Validated(pub(crate) Verified);

/// What the views of the validators are made with.
pub(crate) struct ValidationContext {
    /// How the program's types are found in the states.
    pub(crate) binding: Arc<Binding>,
    /// When the old version was committed.
    pub(crate) committed_at: Timestamp,
    /// The time of the new version, which is not committed yet.
    pub(crate) now: Timestamp,
    /// Whether the new version is an old one, which passed the validators before.
    pub(crate) republishes: bool,
}

impl Verified {
    /// Asks the validators.
    pub(crate) fn validate(
        self,
        validators: &[Arc<dyn Validator>],
        context: &ValidationContext,
    ) -> Result<Validated, ValidationError> {
        if !validators.is_empty() {
            let old = View::new(self.before.clone(), context.binding.clone(), context.committed_at);
            let new = View::new(self.after.clone(), context.binding.clone(), context.now);
            let asked =
                validators.iter().filter(|validator| !context.republishes || validator.is_asked_of_old_versions());
            ask_all(asked.map(AsRef::as_ref), &old, &new)?;
        }
        Ok(Validated(self))
    }
}
