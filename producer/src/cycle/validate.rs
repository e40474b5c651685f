//! Validate: the user's validators accept or refuse the version before anything is written.

use std::sync::Arc;

use cenote_state::ids::Timestamp;
use cenote_state::record::Binding;
use cenote_state::view::View;

use super::verify::Verified;
use crate::validators::{ValidationError, Validator};

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
}

impl Verified {
    /// Asks the validators, in the order in which they were added.
    pub(crate) fn validate(
        self,
        validators: &[Arc<dyn Validator>],
        context: &ValidationContext,
    ) -> Result<Validated, ValidationError> {
        if !validators.is_empty() {
            let old = View::new(self.before.clone(), context.binding.clone(), context.committed_at);
            let new = View::new(self.after.clone(), context.binding.clone(), context.now);
            for validator in validators {
                let refused = |source| ValidationError { validator: validator.name(), source };
                validator.validate(&old, &new).map_err(refused)?;
            }
        }
        Ok(Validated(self))
    }
}
